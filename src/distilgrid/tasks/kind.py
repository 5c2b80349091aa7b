"""The protocol of a task kind: what rows are, and everything that depends on that. Light: no torch, no pandas.

A kind declares itself in `declare.py`; the parts that need torch or pandas are loaded on use, by the strings of
`TaskKind.parts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from distilgrid.core.loading import load
from distilgrid.tasks.kind_parts import Batching, Head, Losses, Parity, Predictions, RowReader
from distilgrid.tasks.metric import Metric

if TYPE_CHECKING:
    from distilgrid.tasks.spec import TaskSpec


@dataclass(frozen=True)
class Source:
    """A scheme that rows come from.

    Attributes:
        module: has `revision(spec, folders)` and `load(spec, folders)`.
        known: what may follow the colon; empty for anything.
    """

    module: str
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Words:
    """Nouns for reports and messages.

    Attributes:
        row, rows: what one row is, and several.
        label: what a row is labelled with.
    """

    row: str
    rows: str
    label: str


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """One kind of task. A kind whose light parts differ is a subclass.

    Attributes:
        name: the value of `kind` in parameter files.
        modality: what models read.
        metrics: the scores that a task of this kind may report, by name.
        tempered: whether a softmax temperature changes anything.
        words: nouns for reports.
        sources: where rows may come from, by the scheme before the colon.
        fields: of a task's spec, those that this kind reads and others may not.
        parts: "module:name" of each part that is loaded on use.
        viewed: whether models are trained on random views of the rows.
        pipeline: the task of the pipeline of `transformers` that serves it; None without one.
    """

    name: str
    modality: Literal["text", "image"]
    metrics: Mapping[str, Metric]
    tempered: bool
    words: Words
    sources: Mapping[str, Source]
    fields: frozenset[str]
    parts: Mapping[str, str] = field(repr=False)
    viewed: bool = False
    pipeline: str | None = None

    @property
    def tokenised(self) -> bool:
        """Whether models read rows through a tokeniser."""
        return self.modality == "text"

    def check_spec(self, spec: "TaskSpec") -> None:
        """Refuse the spec of a task. Raises ValueError saying what to write."""
        if self.tokenised and not spec.text:
            raise ValueError("text must name the text column, or the two columns of a sentence pair")

    def outputs(self, labels: Sequence[str]) -> int:
        """Width of a model's outputs."""
        return len(labels)

    def named(self, label: float, labels: Sequence[str]) -> str | float:
        """A predicted or given label as people read it."""
        return labels[int(label)]

    def rows(self) -> RowReader:
        """How rows are read and checked."""
        return cast(RowReader, load(self.parts["rows"]))

    def batch(self) -> Batching:
        """How rows become tensors."""
        return cast(Batching, load(self.parts["batch"]))

    def head(self) -> Head:
        """What a model's outputs are."""
        return cast(Head, load(self.parts["head"]))

    def losses(self) -> Losses:
        """What training minimises."""
        return cast(Losses, load(self.parts["losses"]))

    def predict(self) -> Predictions:
        """How outputs become labels."""
        return cast(Predictions, load(self.parts["predict"]))

    def parity(self) -> Parity:
        """How exports are judged."""
        return cast(Parity, load(self.parts["parity"]))


def own_parts(package: str) -> dict[str, str]:
    """The `parts` of a kind whose package has the modules `rows`, `batch` and `outputs`."""
    names = ("HEAD", "head"), ("LOSSES", "losses"), ("PREDICTIONS", "predict"), ("PARITY", "parity")
    outputs = {part: f"{package}.outputs:{name}" for name, part in names}
    return {"rows": f"{package}.rows:ROWS", "batch": f"{package}.batch:BATCHING", **outputs}
