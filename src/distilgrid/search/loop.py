"""The search itself: episodes of candidates, each estimated and timed once, and rewards told to the controller."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distilgrid.core.progress import progress
from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.base import Controller
from distilgrid.search.observation import Observation
from distilgrid.search.trial import Trial


@dataclass(frozen=True)
class Finding:
    """What is known of a candidate."""

    score: float  # the task's main metric on dev
    loss: float  # distillation loss
    latency_ms: float  # of one run
    seconds: float  # what the estimate cost


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
