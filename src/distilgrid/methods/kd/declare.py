"""Knowledge distillation on logits: what a user sets."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from distilgrid.core.loading import load
from distilgrid.core.schema import Settings
from distilgrid.methods.base import BaseMethod, Before, TaughtMethod
from distilgrid.signals.base import Signal
from distilgrid.signals.rows.plan import RowSignal
from distilgrid.tasks.kind import TaskKind

if TYPE_CHECKING:
    pass


class KDTuning(Settings):
    """Values of KD's weight and temperature, all pairs of which are trained once and judged on `dev`."""

    alpha: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)
    """Weights of the teacher term to try."""
    temperature: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """Temperatures to try."""
    seed: int = Field(default=0, ge=0)
    """Training seed of the pairs; the best one is then trained with each seed of the grid."""

    @field_validator("alpha", "temperature")
    @classmethod
    def _each_once(cls, values: list[float]) -> list[float]:
        if len(set(values)) < len(values):
            raise ValueError(f"each value can be tried once only, found {values}")
        return values


class SoftLabels(TaughtMethod):
    """Knowledge distillation's losses on logits: (1 - alpha) * CE + alpha * T^2 * KL, or a mean squared error."""

    losses: ClassVar[str] = "distilgrid.methods.kd.losses:KDObjective"

    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the teacher term; 1 - alpha is the weight of the hard labels."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of teacher and student in the KL form; unused by the MSE form."""
    loss: Literal["kl", "mse"] = "kl"
    """`kl`: temperature-scaled KL divergence; `mse`: mean squared error between logits, as always for numbers."""

    def signals(self) -> tuple[Signal, ...]:
        """Logits."""
        return (RowSignal("logits"),)


class KD(SoftLabels):
    """Knowledge distillation on logits (Hinton et al. 2015)."""

    version: ClassVar[int] = 2

    objective: Literal["kd"] = "kd"
    """(1 - alpha) * CE + alpha * T^2 * KL, or the mean squared error between logits."""
    tuning: KDTuning | None = None
    """Choose alpha and temperature among these values by the score on `dev`; null takes those above. Where the
    temperature changes nothing, the first one alone is tried."""

    @classmethod
    def presets(cls) -> dict[str, BaseMethod]:
        """`kd`."""
        return {"kd": cls()}

    def tried(self, name: str, *, tempered: bool) -> "dict[str, KD]":
        """The methods that tuning tries, by the names that their cells get; none without tuning."""
        if self.tuning is None:
            return {}
        temperatures = self.tuning.temperature[: None if tempered and self.loss == "kl" else 1]
        return {
            f"{name}.alpha-{_shortest(alpha)}.t-{_shortest(temperature)}": self.model_copy(
                update={"alpha": alpha, "temperature": temperature, "tuning": None}
            )
            for alpha, temperature in product(self.tuning.alpha, temperatures)
        }

    def before(self, cell: Mapping[str, Any], *, tempered: bool) -> Before:
        """The cells that try values."""
        seed = self.tuning.seed if self.tuning else 0
        return Before(tried=self.tried(cell["method"], tempered=tempered), tried_seed=seed)

    def settle(self, folders: Sequence[Path], *, kind: TaskKind) -> tuple[BaseMethod, dict[str, Any]]:
        """The method with the values of the best cell."""
        settled: tuple[BaseMethod, dict[str, Any]] = load("distilgrid.methods.kd.tuning:tuned")(
            self, folders, kind=kind
        )
        return settled

    def sections(self) -> tuple[str, ...]:
        """The table of tuned values."""
        return ("distilgrid.methods.kd.report:SECTION",)


def _shortest(value: float) -> str:
    """A number in six digits, or in as many as tell it from all others."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
