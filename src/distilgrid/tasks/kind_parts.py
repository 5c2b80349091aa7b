"""The parts of a task kind that need torch or pandas, as protocols; `TaskKind.parts` names what provides them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from distilgrid.tasks.batching import Samples
    from distilgrid.tasks.dataset import Dataset
    from distilgrid.tasks.spec import TaskSpec
    from distilgrid.tasks.tokens import Source

Form = Literal["kl", "mse"]


class RowReader(Protocol):
    """From a source's rows to checked rows in files.

    Attributes:
        columns: what a job reads of a split's file; None for all columns.
        placeholder: the label of a row that a teacher labels later.
    """

    columns: list[str] | None
    placeholder: int | float

    def label_set(self, spec: "TaskSpec", train: "pd.DataFrame", origin: str) -> list[str]:
        """The labels in order; none for a kind without a set. Raises UserError when the training rows hold none that
        fit."""

    def check(
        self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec", labels: list[str], origins: Mapping[str, str]
    ) -> "dict[str, pd.DataFrame]":
        """The rows of all splits with the columns `label` and `example_id`, and what models read. Raises UserError
        naming the origin and the row."""

    def describe(self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec") -> dict[str, Any]:
        """What `dataset.json` says beside what it says of every kind."""

    def write(self, frame: "pd.DataFrame", path: Path) -> None:
        """Write a split's file."""

    def strata(self, frame: "pd.DataFrame") -> "np.ndarray | None":
        """(N,) groups whose shares a subset keeps; None for one group."""

    def example(self, dataset: "Dataset", split: str, count: int) -> "pd.DataFrame | np.ndarray":
        """The first rows of a split as a served model takes them."""


class Batching(Protocol):
    """From rows in files to what models read and learn."""

    def labels(self, frame: "pd.DataFrame") -> "Tensor":
        """(N, ...) of rows."""

    def softened(self, labels: "Tensor", added: "pd.DataFrame", *, outputs: int) -> "Tensor":
        """The labels of rows, then those that a teacher gave to added ones."""

    def relabelled(self, frame: "pd.DataFrame", outputs: "Tensor") -> "pd.DataFrame":
        """Rows with the labels that a teacher's outputs stand for."""

    def samples(
        self, source: "Source", split: str, *, tokenizer: "PreTrainedTokenizerBase | None", max_length: int
    ) -> "Samples":
        """The rows of a whole split as a model reads them."""

    def joined(self, parts: "Sequence[Samples]") -> "Samples":
        """The rows of several, one after the other."""

    def given(
        self, rows: Any, *, tokenizer: "PreTrainedTokenizerBase | None", max_length: int, pair: bool
    ) -> "Samples":
        """Rows that a served model is given, as `RowReader.example` shows them."""


class Head(Protocol):
    """The part of a model that makes its outputs."""

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Write into a model's configuration what its outputs stand for, so that the saved model explains them."""


class Losses(Protocol):
    """What a model is trained to minimise."""

    def hard(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """The loss between a batch's outputs and its labels: (B,) as `batch` makes them, or mixed ones."""

    def soft(self, student: "Tensor", teacher: "Tensor", *, form: Form = "kl", temperature: float = 1.0) -> "Tensor":
        """The loss between a student's and a teacher's outputs: `kl` at a temperature, or the mean squared error."""

    def mixable(self, labels: "Tensor", *, outputs: int) -> "Tensor":
        """The labels as numbers that can be interpolated; `outputs` is the width of a model's outputs."""


class Predictions(Protocol):
    """From a model's outputs to predicted labels."""

    def allocate(self, rows: int, config: "PretrainedConfig") -> "np.ndarray":
        """Room for the outputs on some rows: (N, ...), fp32."""

    def decode(self, outputs: "np.ndarray") -> "np.ndarray":
        """(N,) predicted labels, as metrics take them."""

    def answers(self, outputs: "np.ndarray", labels: Sequence[str]) -> "pd.DataFrame":
        """One row for each of the outputs, as a served model answers."""


class Parity(Protocol):
    """Whether an export of lower precision still answers alike.

    Attributes:
        field: of `parity.json`.
    """

    field: str

    def agreement(self, expected: "np.ndarray", found: "np.ndarray") -> float:
        """How much the predicted labels of torch and of an export agree: 1 at most."""

    def complaint(self, agreement: float, least: float) -> str:
        """Why too little agreement rejects an export."""
