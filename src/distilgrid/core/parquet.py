"""Parquet files of finished artefacts."""

from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def read_parquet(path: Path) -> "pd.DataFrame":
    """A parquet file as a frame.

    Raises:
        UserError: when the file is missing or damaged.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); remove {path.parent} and run its stage again") from None
