"""Protocols of a kind's parts that need torch or pandas. `TaskKind.parts` names their implementations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor
    from transformers import PretrainedConfig

    from distilgrid.tasks.batching import Samples, Tokenizer
    from distilgrid.tasks.dataset import Dataset
    from distilgrid.tasks.spec import TaskSpec
    from distilgrid.tasks.tokens import RowsOnDisk

Form = Literal["kl", "mse"]


class RowReader(Protocol):
    """Reads, checks and stores a source's rows."""

    columns: list[str] | None  # columns of a split's file that jobs read; None reads all
    placeholder: int | float  # label of a row until a teacher labels it

    def label_set(self, spec: "TaskSpec", train: "pd.DataFrame", origin: str) -> list[str]:
        """The labels in order; empty for a kind without a set. Raises UserError when no training label fits."""

    def check(
        self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec", labels: list[str], origins: Mapping[str, str]
    ) -> "dict[str, pd.DataFrame]":
        """Check all splits and return them with the columns `label`, `example_id` and the models' inputs. Raises
        UserError naming the origin and the row."""

    def describe(self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec") -> dict[str, Any]:
        """Facts for `dataset.json` in addition to those of every kind."""

    def write(self, frame: "pd.DataFrame", path: Path) -> None:
        """Write a split's file."""

    def strata(self, frame: "pd.DataFrame") -> "np.ndarray | None":
        """(N,) groups whose shares a subset keeps; None for one group."""

    def example(self, dataset: "Dataset", split: str, count: int) -> "pd.DataFrame | np.ndarray":
        """The first rows of a split as a served model takes them."""


class Batching(Protocol):
    """Turns stored rows into model inputs and targets."""

    def labels(self, frame: "pd.DataFrame") -> "Tensor":
        """(N, ...) targets of rows."""

    def softened(self, labels: "Tensor", added: "pd.DataFrame", *, outputs: int) -> "Tensor":
        """Targets of rows, followed by a teacher's targets of added rows."""

    def relabelled(self, frame: "pd.DataFrame", outputs: "Tensor") -> "pd.DataFrame":
        """Rows with labels from a teacher's outputs."""

    def samples(self, source: "RowsOnDisk", split: str, *, tokenizer: "Tokenizer", max_length: int) -> "Samples":
        """A whole split as a model reads it."""

    def joined(self, parts: "Sequence[Samples]") -> "Samples":
        """Concatenate the rows of several parts."""

    def given(self, rows: Any, *, tokenizer: "Tokenizer", max_length: int, pair: bool) -> "Samples":
        """Rows for a served model, in the form of `RowReader.example`."""


class Head(Protocol):
    """The meaning of a model's outputs."""

    # automatic class of transformers that gives a pretrained model this head: one vector of outputs for each text
    auto_model: str = "AutoModelForSequenceClassification"

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Write the meaning of the outputs into a model's configuration, so that the saved model explains itself."""


class Losses(Protocol):
    """Losses that training minimises."""

    def hard(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """Loss of a batch's outputs against its labels (B,), or against mixed labels."""

    def soft(self, student: "Tensor", teacher: "Tensor", *, form: Form = "kl", temperature: float = 1.0) -> "Tensor":
        """Loss of a student's outputs against a teacher's: `kl` at a temperature, or the mean squared error."""

    def mixable(self, labels: "Tensor", *, outputs: int) -> "Tensor":
        """The labels as numbers that can be interpolated; `outputs` is the width of a model's outputs."""


class Predictions(Protocol):
    """Turns a model's outputs into labels."""

    def allocate(self, rows: int, config: "PretrainedConfig") -> "np.ndarray":
        """fp32 memory for the outputs (N, ...) on some rows."""

    def stored(self, predictions: "pd.DataFrame") -> "np.ndarray":
        """The outputs (N, ...) in rows of `predictions.parquet`."""
        import numpy as np

        return np.stack(predictions["logits"].to_list())

    def decode(self, outputs: "np.ndarray") -> "np.ndarray":
        """(N,) predicted labels, in the form that metrics take."""

    def answers(self, outputs: "np.ndarray", labels: Sequence[str]) -> "pd.DataFrame":
        """Answers of a served model, one row per output."""


class Parity(Protocol):
    """Agreement of a lower-precision export with torch; `field` is its name in `parity.json`."""

    field: str

    def agreement(self, expected: "np.ndarray", found: "np.ndarray") -> float:
        """Agreement of the predicted labels of torch and an export, up to 1."""

    def complaint(self, agreement: float, least: float) -> str:
        """Reason to reject an export."""
