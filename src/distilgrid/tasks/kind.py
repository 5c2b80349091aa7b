"""The protocol of a task kind, which owns everything that depends on what a row is, and the table of kinds.

A kind declares itself in `declare.py`. Its parts that need torch or pandas are loaded on use, so this module imports
neither. A package adds a kind by an entry point of the group `distilgrid.task_kinds`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.loading import load, load_instance, with_added

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor
    from transformers import PretrainedConfig

    from distilgrid.tasks.batching import Samples, Tokenizer, ViewedSamples
    from distilgrid.tasks.dataset import Dataset, RowsOnDisk
    from distilgrid.tasks.model_inputs import ModelInputs
    from distilgrid.tasks.settings import Views
    from distilgrid.tasks.spec import TaskSpec

GROUP = "distilgrid.task_kinds"
KINDS = {
    "label": "distilgrid.tasks.kinds.label.declare:KIND",
    "number": "distilgrid.tasks.kinds.number.declare:KIND",
    "image": "distilgrid.tasks.kinds.image.declare:KIND",
}
Form = Literal["kl", "mse"]
TOKENS = partial(load, "distilgrid.tasks.model_inputs:TextInputs")


@dataclass(frozen=True)
class Metric:
    """A score of predicted labels. A bootstrap scores many resamples from row statistics and their sums."""

    name: str  # name in parameter files and tables
    # from labels (N,) and predicted labels (N,) to statistics (N, k)
    per_row: "Callable[[np.ndarray, np.ndarray], np.ndarray]"
    # from statistics summed over rows (..., k) to values; from the rows' own (N, k) unless `summed`
    combine: "Callable[[np.ndarray], np.ndarray]"
    higher_is_better: bool = True  # direction of the score
    scale: float = 100  # factor for tables, which show points
    summed: bool = True  # whether `combine` takes sums
    # from labels and predicted labels to the value, where that is more exact than sums
    direct: "Callable[[np.ndarray, np.ndarray], float] | None" = None
    # from weights (S, N) and statistics (N, k) to values (S,): a faster way without sums
    weigh: "Callable[[np.ndarray, np.ndarray], np.ndarray] | None" = None

    def value(self, labels: "np.ndarray", predicted: "np.ndarray") -> float:
        """The score of labels (N,) and predicted labels (N,); 0 if undefined."""
        if self.direct is not None:
            return self.direct(labels, predicted)
        statistics = self.per_row(labels, predicted)
        return float(self.combine(statistics.sum(axis=0) if self.summed else statistics))

    def resampled(self, weights: "np.ndarray", statistics: "np.ndarray") -> "np.ndarray":
        """The scores (S,) of resamples; `weights` (S, N) count how often each row was drawn."""
        if self.summed:
            return self.combine(weights @ statistics)
        if self.weigh is not None:
            return self.weigh(weights, statistics)
        import numpy as np

        return np.array([self.combine(np.repeat(statistics, drawn.astype(int), axis=0)) for drawn in weights])

    def better(self, value: float, other: float) -> bool:
        """Whether `value` beats `other`."""
        return value > other if self.higher_is_better else value < other

    def best(self, value: float, other: float | None) -> float:
        """The better value; `value` without another."""
        return value if other is None or self.better(value, other) else other

    def merit(self, value: float) -> float:
        """The value, negated if lower is better."""
        return value if self.higher_is_better else -value


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

    def given(self, rows: Any, *, tokenizer: "Tokenizer", max_length: int, pair: bool) -> "Samples":
        """Rows for a served model, in the form of `RowReader.example`."""

    def viewed(self, samples: "Samples", views: "Views", ids: "np.ndarray") -> "ViewedSamples":
        """Random views of rows, which their example ids (N,) decide, for a kind whose `stream` shows them."""
        raise UserError("this kind of task has no views of its rows; its stream must not ask for any")

    def shape(self, dataset: "Dataset") -> Any:
        """Facts on the rows that a new model is made for. Raises UserError for rows that no new model reads."""
        held = dataset.task_kind.words.rows
        raise UserError(f"{dataset.folder}: holds the {held} of '{dataset.task}', but images are wanted here")


class Losses(Protocol):
    """Losses that training minimises."""

    def hard(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """Loss of a batch's outputs against its labels (B,), or against mixed labels."""

    def soft(self, student: "Tensor", teacher: "Tensor", *, form: Form = "kl", temperature: float = 1.0) -> "Tensor":
        """Loss of a student's outputs against a teacher's: `kl` at a temperature, or the mean squared error."""

    def mixable(self, labels: "Tensor", *, outputs: int) -> "Tensor":
        """The labels as numbers that can be interpolated; `outputs` is the width of a model's outputs."""


class Predictions(Protocol):
    """The meaning of a model's outputs."""

    field: str  # name in `parity.json` of the agreement of an export with torch
    # automatic class of transformers that gives a pretrained model a head: one vector of outputs for each text
    auto_model: str = "AutoModelForSequenceClassification"

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Write the meaning of the outputs into a model's configuration, so that the saved model explains itself."""

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

    def agreement(self, expected: "np.ndarray", found: "np.ndarray") -> float:
        """Agreement of the predicted labels of torch and a lower-precision export, up to 1."""

    def complaint(self, agreement: float, least: float) -> str:
        """Reason to reject an export."""


@dataclass(frozen=True)
class SourceScheme:
    """A scheme of sources."""

    module: str  # name of a module with `revision(spec, folders)` and `load(spec, folders)`
    known: tuple[str, ...] = ()  # permitted texts after the colon; empty permits all


@dataclass(frozen=True)
class Nouns:
    """Nouns for reports and messages: one row, and several."""

    row: str
    rows: str


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """A kind of task. Subclass it to change its light parts."""

    name: str  # value of `kind` in parameter files
    modality: str  # what models read: methods, runtimes and sources of models say which modalities suit them
    metrics: Mapping[str, Metric]  # scores that a task of this kind may report, by name
    tempered: bool  # whether a softmax temperature changes anything
    words: Nouns  # nouns for reports
    sources: Mapping[str, SourceScheme]  # permitted sources, by the scheme before the colon
    fields: frozenset[str]  # optional fields of a task's spec that this kind reads
    # what needs torch or pandas, as functions that load it: partial(load, "package.module:NAME")
    rows: Callable[[], RowReader]  # reader and checks of rows
    batch: Callable[[], Batching]  # conversion of rows to tensors
    losses: Callable[[], Losses]  # training losses
    predict: Callable[[], Predictions]  # meaning of a model's outputs
    inputs: "Callable[[], type[ModelInputs]]" = TOKENS  # form of the models' inputs
    tokenised: bool = True  # whether models read rows through a tokeniser
    stream: str = ""  # "module:function" that opens training rows which change with each epoch, such as views
    pipeline: str | None = None  # task of the `transformers` pipeline that serves the kind; None without one
    hub_task: str = "text-classification"  # name of the task on the Hugging Face hub, for cards
    answer_code: str | None = None  # Python for `answer` from `logits` and labels.json, for READMEs; None without one

    @property
    def viewed(self) -> bool:
        """Whether models train on random views of the rows."""
        return bool(self.stream)

    def check_spec(self, spec: "TaskSpec") -> None:
        """Check the spec of a task. Raises ValueError with a remedy."""
        if self.tokenised and not spec.text:
            raise ValueError("text must name the text column, or the two columns of a sentence pair")

    def outputs(self, labels: Sequence[str]) -> int:
        """Width of a model's outputs: one for each label, or one for a kind without a set."""
        return len(labels) or 1

    def named(self, label: float, labels: Sequence[str]) -> str | float:
        """A predicted or given label as people read it."""
        return labels[int(label)] if labels else float(label)

    def answer(self, outputs: "np.ndarray", labels: Sequence[str]) -> str | float:
        """The answer to one row, from its outputs (1, ...), as people read it."""
        return self.named(self.predict().decode(outputs)[0], labels)


def own_parts(package: str) -> dict[str, Any]:
    """The parts of a kind whose package has the modules `rows` and `tensors`."""
    tensors = {part: partial(load, f"{package}.tensors:{part.upper()}") for part in ("batch", "losses", "predict")}
    return {"rows": partial(load, f"{package}.rows:ROWS"), **tensors}


@cache
def known_kinds() -> dict[str, TaskKind]:
    """All kinds by name: the built-in ones, then those of installed packages."""
    targets = with_added(GROUP, KINDS)
    return {name: load_instance(f"kind '{name}'", target, TaskKind) for name, target in targets.items()}


def find_kind(name: str) -> TaskKind:
    """Look up a kind. Raises UserError with a suggestion for an unknown name."""
    known = known_kinds()
    if name not in known:
        raise UserError(f"unknown kind '{name}'; {did_you_mean(name, known)}")
    return known[name]


def find_metric(name: str) -> Metric:
    """Look up a metric of any kind. Raises UserError with a suggestion for an unknown name."""
    known = {metric.name: metric for kind in reversed(known_kinds().values()) for metric in kind.metrics.values()}
    if name not in known:
        raise UserError(f"unknown metric '{name}'; {did_you_mean(name, known)}")
    return known[name]


def score(kind: TaskKind, metrics: Sequence[str], *, labels: "np.ndarray", outputs: "np.ndarray") -> dict[str, float]:
    """Score outputs (N, ...) against labels (N,) with the named metrics of a kind."""
    predicted = kind.predict().decode(outputs)
    return {name: kind.metrics[name].value(labels, predicted) for name in metrics}
