"""Declarations and protocols of augmentations. Light: no torch here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from pydantic import Field

from distilgrid.core.schema import Seed, Settings

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.augmentation.unlabelled.declare import Pool
    from distilgrid.tasks.dataset import Dataset
    from distilgrid.tasks.sources import Folders
    from distilgrid.tasks.spec import TaskSpec


@dataclass(frozen=True)
class Surroundings:
    """Folders and device of an Augmenter."""

    teacher: Path | None = None  # folder of the fine-tuned teacher
    journal: Path | None = None  # folder for unfinished work; None keeps nothing
    device: str = "auto"  # `auto`, `cpu` or `cuda`


@dataclass(frozen=True)
class RowContext:
    """Data that new rows are made of."""

    dataset: "Dataset"
    rows: "pd.DataFrame"  # training rows of students: `text_a`, `text_b` (pairs only), `label`, `example_id`
    surroundings: Surroundings
    lent: "Pool | None" = None  # texts of other data sets, if the settings name any


@dataclass(frozen=True)
class Augmented:
    """New rows of a training split."""

    # `text_a`, `text_b` (pairs only), `label`, `example_id` of the new texts, `parents` (example ids of the rows that
    # a row is made of: none, one or several) and `copy` (from 0). A column `probabilities`, (C,) each, may replace
    # the labels.
    frame: "pd.DataFrame"
    unchanged: int  # rows left out because the data set holds them
    repeated: int = 0  # rows left out because they are equal to earlier ones
    scored: int = 0  # rewritten rows left out because dev or a validation split holds them, perhaps in other spelling
    near: int = 0  # rows left out because they are nearly a row of the data set; of rewritten ones, of those splits


RowSource: TypeAlias = Callable[[Any, RowContext], Augmented]
"""Makes the rows that an augmentation's settings add. Raises UserError when a model or a file is missing, damaged or of
the wrong kind."""


class Augmenter(Protocol):
    """The code of an augmentation that rewrites texts."""

    def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One new text for each text; a text that cannot be rewritten comes back unchanged.

        A new text depends on its own text and seed, the settings and the model. Sampled back-translation depends on
        the texts of its batch too, thus on the set of (text, seed) pairs of a call, but never on their order.
        """


class Added(Settings):
    """Settings that all augmentations share, and what an augmentation declares about itself."""

    version: ClassVar[int] = 1  # raised when the rows may change for the same settings
    row_source: ClassVar[str]  # "module:function" of the `RowSource`, imported on use
    # settings that decide no row beyond the rest of the recipe: places of models and files
    undecisive: ClassVar[frozenset[str]] = frozenset()

    kind: str
    """Names the augmentation."""
    seed: Seed = 0
    """Seed of the new rows; it is not a training seed, so all students see the same rows."""
    labels: Literal["copied", "teacher"] = "copied"
    """Labels of the new rows: the original row's hard label, or the teacher's probabilities on the new text."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Model sources that rewriting reads, in addition to the teacher."""
        return ()

    @property
    def rewrites_with_teacher(self) -> bool:
        """Whether rewriting, as opposed to labelling, reads the teacher's folder."""
        return False

    @property
    def makes_by_model(self) -> bool:
        """Whether a model makes the rows: then they are made on the job's device, else on the CPU."""
        return True

    @property
    def runs_model(self) -> bool:
        """Whether a model makes the rows, or labels them."""
        return self.makes_by_model or self.labels == "teacher"

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher rewrites or labels."""
        return self.rewrites_with_teacher or self.labels == "teacher"

    @property
    def nothing_new(self) -> str:
        """Message for a result without new rows: the reason and what to do."""
        return f"the augmentation '{self.kind}' changed no row; raise its strength"

    def lent_texts(
        self, *, key: str, task: "TaskSpec", own: "Mapping[str, TaskSpec]", folders: "Folders"
    ) -> "Pool | None":
        """Texts of other data sets that the rows of `task` are made of; None where its own rows are rewritten.

        `key` names the setting in messages; `own` are the user's tasks, by name.
        """
        return None

    def recipe(self) -> dict[str, Any]:
        """Settings that decide the rows, and the version of the code."""
        return self.model_dump(exclude=set(self.undecisive)) | {"version": self.version}


class Rewriting(Added):
    """Settings of augmentations that rewrite training rows."""

    row_source: ClassVar[str] = "distilgrid.augmentation.rows:rewritten_rows"
    augmenter: ClassVar[str]  # "module:class" of the `Augmenter`

    copies: int = Field(default=1, ge=1)
    """Augmented rows per training row; copies that are unchanged, repeated, or like a scored row are dropped."""
    fields: Literal["both", "first", "second", "random"] = "both"
    """Which texts of a pair are rewritten; `random` draws one of both per copy. Single texts are always rewritten."""


class EmbeddingBased(Rewriting):
    """What augmentations that look up similar words have."""

    undecisive: ClassVar[frozenset[str]] = frozenset({"source"})

    source: str | None = None
    """Model whose input embeddings say which words are similar; null takes the teacher's own fine-tuned folder."""
    candidates: int = Field(default=15, ge=1)
    """A new word is drawn from this many candidates."""
    min_similarity: float = Field(default=0.0, ge=0, lt=1)
    """Smallest cosine between the embeddings of a word and its substitute; a word with none so near stays."""

    @property
    def needs_embeddings(self) -> bool:
        """Whether any words are looked up."""
        return True

    @property
    def sources(self) -> tuple[str, ...]:
        """The model of the embeddings, where they are needed and not the teacher's."""
        return () if self.source is None or not self.needs_embeddings else (self.source,)

    @property
    def rewrites_with_teacher(self) -> bool:
        """Whether the embeddings are needed and the teacher's."""
        return self.source is None and self.needs_embeddings
