"""The protocol of a task kind, which owns everything that depends on what a row is. Light: no torch, no pandas.

A kind declares itself in `declare.py`. `TaskKind.parts` names the parts that need torch or pandas; they are loaded on
use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from distilgrid.core.loading import load
from distilgrid.tasks.kind_parts import Batching, Head, Losses, Parity, Predictions, RowReader
from distilgrid.tasks.metric import Metric

if TYPE_CHECKING:
    from distilgrid.tasks.model_inputs import ModelInputs
    from distilgrid.tasks.spec import TaskSpec


@dataclass(frozen=True)
class SourceScheme:
    """A scheme of sources."""

    module: str  # name of a module with `revision(spec, folders)` and `load(spec, folders)`
    known: tuple[str, ...] = ()  # permitted texts after the colon; empty permits all


@dataclass(frozen=True)
class Nouns:
    """Nouns for reports and messages: one row, several rows, and the label of a row."""

    row: str
    rows: str
    label: str


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """A kind of task. Subclass it to change its light parts."""

    name: str  # value of `kind` in parameter files
    modality: Literal["text", "image"]  # input of the models
    metrics: Mapping[str, Metric]  # scores that a task of this kind may report, by name
    tempered: bool  # whether a softmax temperature changes anything
    words: Nouns  # nouns for reports
    sources: Mapping[str, SourceScheme]  # permitted sources, by the scheme before the colon
    fields: frozenset[str]  # optional fields of a task's spec that this kind reads
    parts: Mapping[str, str] = field(repr=False)  # "module:name" of each part that is loaded on use
    viewed: bool = False  # whether models train on random views of the rows
    pipeline: str | None = None  # task of the `transformers` pipeline that serves the kind; None without one

    @property
    def tokenised(self) -> bool:
        """Whether models read rows through a tokeniser."""
        return self.modality == "text"

    def check_spec(self, spec: "TaskSpec") -> None:
        """Check the spec of a task. Raises ValueError with a remedy."""
        if self.tokenised and not spec.text:
            raise ValueError("text must name the text column, or the two columns of a sentence pair")

    def outputs(self, labels: Sequence[str]) -> int:
        """Width of a model's outputs."""
        return len(labels)

    def named(self, label: float, labels: Sequence[str]) -> str | float:
        """A predicted or given label as people read it."""
        return labels[int(label)]

    def rows(self) -> RowReader:
        """Reader and checks of rows."""
        return cast(RowReader, load(self.parts["rows"]))

    def batch(self) -> Batching:
        """Conversion of rows to tensors."""
        return cast(Batching, load(self.parts["batch"]))

    def head(self) -> Head:
        """Meaning of a model's outputs."""
        return cast(Head, load(self.parts["head"]))

    def losses(self) -> Losses:
        """Training losses."""
        return cast(Losses, load(self.parts["losses"]))

    def predict(self) -> Predictions:
        """Conversion of outputs to labels."""
        return cast(Predictions, load(self.parts["predict"]))

    def inputs(self) -> "type[ModelInputs]":
        """Form of the models' inputs: by default, tokens."""
        form: type[ModelInputs] = load(self.parts.get("inputs", "distilgrid.tasks.model_inputs:TextInputs"))
        return form

    def parity(self) -> Parity:
        """Judgement of exports."""
        return cast(Parity, load(self.parts["parity"]))


def own_parts(package: str) -> dict[str, str]:
    """The `parts` of a kind whose package has the modules `rows`, `batch` and `outputs`."""
    names = ("HEAD", "head"), ("LOSSES", "losses"), ("PREDICTIONS", "predict"), ("PARITY", "parity")
    outputs = {part: f"{package}.outputs:{name}" for name, part in names}
    return {"rows": f"{package}.rows:ROWS", "batch": f"{package}.batch:BATCHING", **outputs}
