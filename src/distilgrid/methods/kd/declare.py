"""Settings of knowledge distillation on logits. Light: no torch here."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_trained
from distilgrid.core.schema import Seed, Settings
from distilgrid.methods.base import Before, TaughtMethod
from distilgrid.tasks.kind import TaskKind


class KDTuning(Settings):
    """Values of KD's weight and temperature. Every pair is trained once and judged on `dev`."""

    alpha: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)
    """Weights of the teacher term to try."""
    temperature: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """Temperatures to try."""
    seed: Seed = 0
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


class KD(SoftLabels):
    """Knowledge distillation on logits (Hinton et al. 2015)."""

    version: ClassVar[int] = 2
    preset: ClassVar[str] = "kd"
    sections: ClassVar[tuple[str, ...]] = ("distilgrid.methods.kd.report:SECTION",)

    objective: Literal["kd"] = "kd"
    """(1 - alpha) * CE + alpha * T^2 * KL, or the mean squared error between logits."""
    tuning: KDTuning | None = None
    """Values among which the score on `dev` chooses; null takes alpha and temperature as set above. Where the
    temperature changes nothing, only the first one is tried."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "search" in values:
            raise ValueError("search has gone; write tuning: {alpha: [...], temperature: [...]}")
        return values

    def tried(self, name: str, *, tempered: bool) -> "dict[str, KD]":
        """Methods that tuning tries, by the names of their cells; none without tuning."""
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
        """Cells that try values."""
        seed = self.tuning.seed if self.tuning else 0
        return Before(tried=self.tried(cell["method"], tempered=tempered), tried_seed=seed)

    def settle(self, folders: Sequence[Path], *, kind: TaskKind) -> "tuple[KD, dict[str, Any]]":
        """The method with the values of the cell that is best on `dev`; ties keep the earlier one.

        Raises UserError when there are no cells, or a cell tried none of the pairs.
        """
        if self.tuning is None:
            return self, {}
        wanted = [_values(planned.model_dump()) for planned in self.tried("", tempered=kind.tempered).values()]
        if not folders:
            raise UserError(f"the method's tuning tries {len(wanted)} pairs of values; give --tried once for each cell")
        tried: list[dict[str, Any]] = []
        merits: list[float] = []
        for folder in folders:
            cell = open_trained(folder)
            values = _values(cell.run["recipe"].get("method", {}))
            if values not in wanted:
                raise UserError(f"{folder}: trained with {values}, which the tuning does not try; give its own cells")
            metrics = cell.json("metrics.json")
            tried.append({**values, "dev": metrics["dev"][metrics["score_name"]]})
            merits.append(kind.metrics[metrics["score_name"]].merit(tried[-1]["dev"]))
        chosen = _values(tried[merits.index(max(merits))])
        return self.model_copy(update={**chosen, "tuning": None}), {"tuning": {"chosen": chosen, "tried": tried}}


def _values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values that tuning chooses."""
    return {name: settings.get(name) for name in ("alpha", "temperature")}


def _shortest(value: float) -> str:
    """A number in six digits, or in as many as identify it."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
