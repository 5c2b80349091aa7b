"""What every augmentation declares. Light: no torch here."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field

from distilgrid.core.schema import Settings

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.sources import Folders
    from distilgrid.tasks.spec import TaskSpec


class LentTexts(Protocol):
    """Texts of other data sets."""

    @property
    def names(self) -> Sequence[str]:
        """The tasks and files that lend them."""

    def spec(self, name: str) -> "TaskSpec":
        """The task that one of the names stands for."""

    def revisions(self) -> list[dict[str, Any]]:
        """For each name what its texts follow from, as plain values for a recipe. Reads no rows."""

    def read(self) -> "pd.DataFrame":
        """`text_a`, `text_b` (pairs only) and `example_id`, each row once."""


class Added(Settings):
    """Settings that every augmentation has, and what it declares about itself."""

    version: ClassVar[int] = 1  # bumped when the rows may change for the same settings
    row_source: ClassVar[str]  # "module:function" of the `RowSource`, imported on use
    # settings that decide no row beyond what the recipe holds otherwise: places of models and files
    undecisive: ClassVar[frozenset[str]] = frozenset()

    kind: str
    """Which augmentation."""
    seed: int = Field(default=0, ge=0)
    """Seed of the new rows; it is not a training seed, so all students see the same ones."""
    labels: Literal["copied", "teacher"] = "copied"
    """Labels of the new rows: the original row's hard label, or the teacher's probabilities on the new text."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Model sources that are read, in addition to the teacher."""
        return ()

    @property
    def rewrites_with_teacher(self) -> bool:
        """Whether the rewriting itself reads the teacher's folder; its labels are another matter."""
        return False

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher rewrites or labels."""
        return self.rewrites_with_teacher or self.labels == "teacher"

    @property
    def nothing_new(self) -> str:
        """The message for a result without any new row: what happened and what to do."""
        return f"the augmentation '{self.kind}' changed no row; raise its strength"

    def lent_texts(
        self, *, key: str, task: "TaskSpec", own: "Mapping[str, TaskSpec]", folders: "Folders"
    ) -> "LentTexts | None":
        """Texts of other data sets that the rows are made of; None for an augmentation of the task's own rows.

        Args:
            key: the setting that names them, for messages.
            task: the task that they are for.
            own: the user's own tasks, by name.
            folders: local folders of published data.
        """
        return None

    def recipe(self) -> dict[str, Any]:
        """The settings that decide the rows, and the version of the code."""
        return self.model_dump(exclude=set(self.undecisive)) | {"version": self.version}


class Rewriting(Added):
    """What every augmentation that rewrites training rows has."""

    row_source: ClassVar[str] = "distilgrid.augmentation.rows:rewritten_rows"
    augmenter: ClassVar[str]  # "module:class" of the `Augmenter`

    copies: int = Field(default=1, ge=1)
    """Augmented rows made of each training row; copies that come out unchanged or twice are dropped."""
    fields: Literal["both", "first", "second", "random"] = "both"
    """Which texts of a pair are rewritten; `random` draws one of the two for each copy. Single texts always are."""


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
    def sources(self) -> tuple[str, ...]:
        """The model of the embeddings, unless it is the teacher."""
        return () if self.source is None else (self.source,)

    @property
    def rewrites_with_teacher(self) -> bool:
        """Whether the embeddings are the teacher's."""
        return self.source is None
