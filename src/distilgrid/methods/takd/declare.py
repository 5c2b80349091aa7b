"""Settings of teacher-assistant distillation, whose losses are kd's. Light: no torch here."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from distilgrid.core.schema import Seed
from distilgrid.methods.base import Before
from distilgrid.methods.kd.declare import SoftLabels


class TAKD(SoftLabels):
    """Teacher-assistant distillation (Mirzadeh et al. 2020): KD along a chain of ever smaller models."""

    unrecorded: ClassVar[frozenset[str]] = SoftLabels.unrecorded | {"assistants", "assistant_seed"}
    without_preset: ClassVar[tuple[str, str]] = ("its assistants must be named", "{objective: takd, assistants: [...]}")

    objective: Literal["takd"] = "takd"
    """KD's losses; each model learns from the one before it, the first assistant from the teacher."""
    assistants: list[str] = Field(min_length=1)
    """Names under `students`, from the largest to the smallest: the models between the teacher and the student."""
    assistant_seed: Seed = 0
    """Seed of the assistants' training; the students of all seeds learn from one chain, as they do from one teacher."""

    @field_validator("assistants")
    @classmethod
    def _no_loop(cls, assistants: list[str]) -> list[str]:
        twice = next((name for name in assistants if assistants.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the chain loops: '{twice}' is in it twice; name each assistant once")
        return assistants

    def before(self, cell: Mapping[str, Any], *, tempered: bool) -> Before:
        """Assistants of the chain."""
        return Before(assistants=tuple(self.assistants), assistant_seed=self.assistant_seed)
