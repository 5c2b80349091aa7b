"""Augmented rows on disk: `train.parquet`, made of the training rows of prepared data."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.artefacts import verified
from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AugmentedRows:
    """Rows that an augmentation made."""

    folder: Path  # folder of the files
    key: str  # recipe key
    soft: bool  # whether a teacher labelled the rows, in a column `probabilities`

    def split(self, name: str) -> "pd.DataFrame":
        """Columns `text_a`, `text_b` (pairs only), `label`, `example_id`, `parents` (example ids) and `copy`."""
        import pandas as pd

        return pd.read_parquet(self.folder / f"{name}.parquet")


def open_augmented(folder: Path | str, *, dataset: Dataset) -> AugmentedRows:
    """Open augmented rows and verify their files. Raises UserError for missing or damaged files, or other data."""
    run = verified(folder, stage="augment")
    recipe = run["recipe"]
    made_of = recipe["inputs"]["data"]
    if made_of != dataset.key:
        raise UserError(f"{folder}: made of data {made_of}, not of {dataset.key}; augment again")
    return AugmentedRows(Path(folder), run["key"], recipe["settings"]["labels"] == "teacher")
