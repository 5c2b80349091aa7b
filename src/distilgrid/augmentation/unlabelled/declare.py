"""Settings of unlabelled texts. Light: no torch here."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from distilgrid.augmentation.base import Added
from distilgrid.augmentation.unlabelled.pool import Pool
from distilgrid.tasks.sources import Folders
from distilgrid.tasks.spec import TaskSpec


class Unlabelled(Added):
    """Texts without labels: the teacher labels them (the transfer sets of Turc et al. 2019)."""

    row_source: ClassVar[str] = "distilgrid.augmentation.unlabelled.rows:unlabelled_rows"
    undecisive: ClassVar[frozenset[str]] = frozenset({"texts"})

    kind: Literal["unlabelled"] = "unlabelled"
    """Other texts, labelled by the teacher."""
    texts: list[str] = Field(min_length=1)
    """Tasks whose training rows lend their texts, and files: `csv:<file>` or `parquet:<file>` with the task's own text
    columns. Labels are not read."""
    max_rows: int | None = Field(default=None, ge=1)
    """At most this number of rows, a seeded choice; null takes all."""
    labels: Literal["teacher"] = "teacher"
    """The teacher's probabilities, or its number for a regression."""

    @property
    def nothing_new(self) -> str:
        """Message for texts that are all known."""
        return f"holds all rows of {', '.join(self.texts)} already; name other texts"

    def lent_texts(self, *, key: str, task: TaskSpec, own: Mapping[str, TaskSpec], folders: Folders) -> Pool:
        """Pool of the named tasks and files."""
        return Pool(key, task, self.texts, own, folders)
