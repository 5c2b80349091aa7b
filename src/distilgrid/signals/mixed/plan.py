"""Mixed samples: their settings, and the signal of a teacher's logits on them. Light: no torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.schema import Seed, Settings
from distilgrid.signals.base import Lesson, Signal
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from distilgrid.plan.recordings import Recordings

BATCHES = {"epochs", "batch_size", "batching"}
"""The training settings that decide which samples are mixed."""


class Mixup(Settings):
    """Mixing of rows: lambda * x_i + (1 - lambda) * x_j with lambda ~ Beta(a, a)."""

    beta: float = Field(default=0.4, gt=0)
    """Parameter a of Beta(a, a): near 0 a sample is almost one of its rows, at 1 all mixtures are as likely."""
    ratio: float = Field(default=1.0, gt=0)
    """Mixed samples per training row, in each epoch."""
    draw: Literal["sample", "batch"] = "sample"
    """A separate lambda for each sample, or one for all mixed samples of a batch."""
    partners: Literal["any", "similar"] = "any"
    """`any`: the partner is any other row, as in the paper; `similar`: one of about its length, which costs less."""
    token_types: Literal["mix", "keep"] = "mix"
    """Token-type embeddings of pairs of texts: mixed like the words', or those of x_i."""
    seed: Seed = 0
    """Seed of pairs and lambdas. Independent of the training seeds: all students see the same mixed samples."""


def check_batches(training: Training) -> None:
    """Refuse a token budget, under which the number of batches depends on the order of the rows."""
    if training.batch_tokens is not None:
        raise UserError("training.batch_tokens: mixkd wants batches of one size; set batch_tokens: null for it")


@dataclass(frozen=True)
class MixedSignal(Signal):
    """Logits on all mixed samples of a run."""

    mixup: Mixup
    training: Training | None = None  # settings of the students, which decide the batches; None until they are known
    name: ClassVar[str] = "mixed-logits"
    option: ClassVar[str] = "mixed-outputs"
    asked: ClassVar[str] = "distilgrid.signals.mixed.outputs:MixedTeacher"

    def seen(self, *, viewed: bool, taught: Training) -> Signal:
        """The signal with training settings."""
        return MixedSignal(self.mixup, taught)

    def plan(self, lesson: Lesson, grid: "Recordings") -> list[Artefact]:
        """One recording of each instructor on the lesson's own rows, prepared and augmented."""
        cell, augmented = lesson.cell, lesson.augmented
        place = f"{cell['augmentation']}/frac-{cell['fraction']:g}/mixed"
        options = {axis: cell[axis] for axis in ("method", "student")}
        share = cell["fraction"]
        return [
            grid.record(self, lesson, each, place=place, fraction=share, augmented=augmented, options=options)
            for each in lesson.instructors
        ]

    def recipe(self, inputs: Mapping[str, Any], *, fraction: float, max_length: int) -> dict[str, Any]:
        """Samples, and how the teacher reads them."""
        shown = {"mixup": self.mixup.model_dump(), "batches": self.settled.model_dump(include=BATCHES)}
        return {"kind": self.name, **shown, "max_length": max_length, "fraction": fraction, "inputs": dict(inputs)}

    @property
    def settled(self) -> Training:
        """Training settings of the students."""
        assert self.training is not None, "a mixed signal is asked for with training settings"
        return self.training
