"""Settings of teachers and students: their models, and how they are trained. Light: no torch here."""

from typing import Literal

from pydantic import Field

from distilgrid.core.schema import Settings
from distilgrid.models.settings import Student
from distilgrid.training.settings import TrainingOverrides


class Teacher(Settings):
    """A pretrained model that is fine-tuned on each task and then teaches."""

    source: str
    """`hub:<name>@<revision>`, `path:<folder>`, `package:<distribution>`, or `new:<architecture>` for image tasks."""
    seed: int = Field(default=0, ge=0)
    """Seed of the teacher's own fine-tuning; every student of the grid learns from this one teacher."""
    rows: Literal["all", "students"] = "all"
    """Training rows that the teacher sees where students see a share: all of them, or those of its students."""
    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this teacher."""


class GridStudent(Student):
    """A smaller model: the first k layers of its origin, chosen layers of it, or another shape."""

    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section, and from a method's own, for this student."""
