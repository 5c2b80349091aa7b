"""The search loop: episodes of candidates, each estimated and timed once, whose rewards the controller learns."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.fingerprint import canonical_json
from distilgrid.core.progress import progress
from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.registry import Controller, Observation

if TYPE_CHECKING:
    import pandas as pd


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """Estimated quality of a candidate."""

    score: float  # main metric on `dev`, negated where lower is better
    loss: float  # distance from the teacher, lower is better
    seconds: float  # cost of the estimate


@dataclass(frozen=True)
class Finding(Estimate):
    """Quality and latency of a candidate."""

    latency_ms: float


@dataclass(frozen=True)
class Trial(Observation, Finding):
    """One architecture that a search has tried, with the results; `seconds` is 0 where they were known before."""

    number: int  # counted from 0 over the whole search
    episode: int  # counted from 0
    repeated: bool  # whether this search has tried the architecture before

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the architecture's name, parameters and choices as JSON."""
        facts = asdict(self) | {"name": self.architecture.name, "parameters": self.architecture.parameters}
        return facts | {"architecture": canonical_json(self.architecture.as_dict())}


def as_table(trials: Sequence[Trial]) -> "pd.DataFrame":
    """One row for each trial, with `best_reward`, the highest reward within the limits until then.

    It is not a number before the first trial within the limits.
    """
    import pandas as pd

    table = pd.DataFrame([trial.as_dict() for trial in trials])
    return table.assign(best_reward=table["reward"].where(table["penalty"] == 0).cummax().ffill())


def best_trials(trials: Sequence[Trial], *, count: int) -> list[Trial]:
    """Trials of the highest rewards within the limits, each architecture once; ties keep the earlier one."""
    first = {trial.architecture: trial for trial in reversed(trials) if not trial.penalty}
    return sorted(first.values(), key=lambda trial: (-trial.reward, trial.number))[:count]


Examine = Callable[[Sequence[Architecture]], Sequence[Finding]]
"""Findings of architectures, in their order; called once for each architecture."""


@dataclass(frozen=True)
class Worth:
    """Worth of a finding; higher is better in reward and quality."""

    reward: float  # value that a search maximises, after the penalty
    quality: float  # part without regard to latency
    penalty: float = 0.0  # taken off the reward for what exceeds the limits of the search; 0 within them


Judge = Callable[[Architecture, Finding], Worth]
"""Worth of what was found out about an architecture."""


def search(controller: Controller, *, examine: Examine, judge: Judge, episodes: int, candidates: int) -> list[Trial]:
    """Run a search and return all trials in their order.

    The controller proposes the candidates of an episode and then learns from all of them. It may propose fewer than
    `candidates`; a search whose controller proposes none ends with what was tried. Nothing is stored here: a killed
    search begins again, and `examine` remembers its findings, so the trials are the same.
    """
    trials: list[Trial] = []
    known: dict[Architecture, Finding] = {}
    for episode in progress(range(episodes), total=episodes, label="episodes"):
        asked = controller.ask(candidates)
        if not asked:
            log.warning(
                "episode %d of %d: the controller has nothing left to propose; the search ends with %d trials",
                episode + 1,
                episodes,
                len(trials),
            )
            break
        if len(asked) < candidates:
            log.info("episode %d: %d of %d candidates proposed", episode + 1, len(asked), candidates)
        unseen = [architecture for architecture in dict.fromkeys(asked) if architecture not in known]
        known |= zip(unseen, examine(unseen), strict=True)
        for architecture in asked:
            found, repeated = known[architecture], architecture not in unseen
            if not repeated:
                unseen.remove(architecture)
            facts: dict[str, Any] = vars(found) | vars(judge(architecture, found)) | {"repeated": repeated}
            facts["seconds"] = 0.0 if repeated else found.seconds
            trials.append(Trial(architecture=architecture, number=len(trials), episode=episode, **facts))
        controller.tell(trials[len(trials) - len(asked) :])
    return trials
