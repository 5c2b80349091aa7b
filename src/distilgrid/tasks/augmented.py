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
    """Rows that an augmentation made.

    Attributes:
        folder: where its files lie.
        key: its recipe key.
        data_key: of the prepared data that the rows were made of.
        soft: whether a teacher labelled them: then there is a column `probabilities`.
    """

    folder: Path
    key: str
    data_key: str
    soft: bool

    def split(self, name: str) -> "pd.DataFrame":
        """`train`: `text_a`, `text_b` (pairs only), `label`, `example_id`, `parents` (example ids), `copy`."""
        import pandas as pd

        return pd.read_parquet(self.folder / f"{name}.parquet")


def open_augmented(folder: Path | str, *, dataset: Dataset) -> AugmentedRows:
    """Augmented rows, their files verified. Raises UserError when they are missing, damaged, or made of other data."""
    run = verified(folder, stage="augment")
    recipe = run["recipe"]
    made_of = recipe["inputs"]["data"]
    if made_of != dataset.key:
        raise UserError(f"{folder}: made of data {made_of}, not of {dataset.key}; augment again")
    return AugmentedRows(Path(folder), run["key"], made_of, recipe["settings"]["labels"] == "teacher")
