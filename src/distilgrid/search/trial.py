"""One candidate of a search, and what was found out about it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.fingerprint import canonical_json
from distilgrid.search.architecture import Architecture

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trial:
    """A candidate."""

    number: int  # counted from 0 over the whole search
    episode: int  # counted from 0
    architecture: Architecture  # what was tried
    score: float  # the task's main metric on dev
    loss: float  # distillation loss of the last epoch
    latency_ms: float  # of the candidate
    quality: float  # score or loss as one number without regard to latency, higher is better
    reward: float  # what the controller was told
    seconds: float  # what the estimate cost; 0 where it was known from an earlier trial
    repeated: bool  # whether this search had tried it before

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the architecture by its name, its parameters and its choices as JSON."""
        facts = asdict(self) | {"name": self.architecture.name, "parameters": self.architecture.parameters}
        return facts | {"architecture": canonical_json(self.architecture.as_dict())}


def as_table(trials: Sequence[Trial]) -> "pd.DataFrame":
    """One row for each trial, and `best_reward`, the highest so far."""
    import pandas as pd

    table = pd.DataFrame([trial.as_dict() for trial in trials])
    return table.assign(best_reward=table["reward"].cummax())


def best_trials(trials: Sequence[Trial], *, count: int) -> list[Trial]:
    """Those of the highest reward, each architecture once; of equal ones the earlier."""
    first: dict[Architecture, Trial] = {}
    for trial in trials:
        first.setdefault(trial.architecture, trial)
    return sorted(first.values(), key=lambda trial: (-trial.reward, trial.number))[:count]
