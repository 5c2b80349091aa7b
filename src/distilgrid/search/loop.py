"""The search itself: episodes of candidates, each estimated and timed once, and rewards told to the controller."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.fingerprint import canonical_json
from distilgrid.core.progress import progress
from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.base import Controller, Observation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finding:
    """What is known of a candidate."""

    score: float  # the task's main metric on dev
    loss: float  # distillation loss
    latency_ms: float  # of one run
    seconds: float  # what the estimate cost


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


Examine = Callable[[Sequence[Architecture]], Sequence[Finding]]
"""Finds out about architectures, in their order; asked once for each."""
Judge = Callable[[Finding], tuple[float, float]]
"""The reward of a finding, and its quality without regard to latency: higher is better in both."""


def search(controller: Controller, *, examine: Examine, judge: Judge, episodes: int, candidates: int) -> list[Trial]:
    """All trials, in their order.

    The controller is asked for one episode's candidates at a time and then told of all of them. Nothing is kept here:
    a killed search begins again, and `examine` knows what it found out before, so that the trials are the same.

    Args:
        controller: proposes.
        examine: finds out about an episode's candidates.
        judge: rewards a finding.
        episodes: how many.
        candidates: of each episode.
    """
    trials: list[Trial] = []
    known: dict[Architecture, Finding] = {}
    for episode in progress(range(episodes), total=episodes, label="episodes"):
        asked = controller.ask(candidates)
        unseen = [architecture for architecture in dict.fromkeys(asked) if architecture not in known]
        known |= zip(unseen, examine(unseen), strict=True)
        told = []
        for architecture in asked:
            repeated = architecture not in unseen
            if not repeated:
                unseen.remove(architecture)
            finding = known[architecture]
            reward, quality = judge(finding)
            told.append(Observation(architecture, reward, quality, finding.latency_ms))
            cost = 0.0 if repeated else finding.seconds
            facts = (finding.score, finding.loss, finding.latency_ms, quality, reward, cost, repeated)
            trials.append(Trial(len(trials), episode, architecture, *facts))
        controller.tell(told)
    return trials
