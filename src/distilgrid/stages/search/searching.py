"""A search as its own job and those of its candidates see it: sources, findings, and examination of a candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import read_json
from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.journal import Journal
from distilgrid.methods.teaching import Sources
from distilgrid.models.facts import facts_of
from distilgrid.models.source import model_folder
from distilgrid.search import rewards
from distilgrid.search.architecture import Architecture, oversize, shape_of
from distilgrid.search.controllers.registry import Controller, build_controller
from distilgrid.search.estimators.lessons import Estimator, Lessons
from distilgrid.search.estimators.registry import open_estimator
from distilgrid.search.latencies import LatencySource, open_source
from distilgrid.search.loop import Finding, Worth
from distilgrid.stages.job import Job
from distilgrid.stages.search.declare import SearchStageSettings


@dataclass(frozen=True)
class Searching:
    """A search, opened piece by piece when it is needed.

    Raises:
        UserError: when used: for inputs that are damaged, or settings that do not fit each other.
    """

    chosen: SearchStageSettings  # the settings of the stage
    # With the inputs: data, recorded outputs for an estimator that distils, the teacher for one whose candidates
    # inherit its weights, a supernet, a predictor of latencies.
    job: Job
    known: Path  # folder of findings about architectures, which searches of a task and teacher share

    @property
    def controller(self) -> Controller:
        """A new controller, without any observation."""
        own, space = self.chosen.search, self.chosen.space
        return build_controller(own.controller, space, seed=self.chosen.seed, fits=self._fits)

    @cached_property
    def teacher(self) -> Architecture:
        """The teacher's encoder: the yardstick of latencies."""
        return shape_of(self.config)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The teacher's `config.json`."""
        config: dict[str, Any] = read_json(model_folder(self.chosen.origin) / "config.json")
        return config

    @cached_property
    def teacher_ms(self) -> float:
        """The teacher's latency."""
        (latency,) = self.latencies.latencies([self.teacher])
        return latency

    @cached_property
    def latencies(self) -> LatencySource:
        """Measured or predicted ones."""
        return open_source(
            self.chosen.search.latency.conditions(self.chosen.benchmark),
            protocol=self.chosen.benchmark,
            predictor=self.job.folder_of("latency"),
            yardstick=self.teacher,
            folder=self.known / "latencies",
        )

    @cached_property
    def limit_ms(self) -> float | None:
        """Latency limit of the search, if it has one."""
        return self.chosen.search.limit_ms(teacher_ms=self.teacher_ms)

    def examine(self, architectures: Sequence[Architecture]) -> list[Finding]:
        """Find what is unknown: first all latencies, which are measured in groups, then the estimates."""
        latencies = self.latencies.latencies(architectures)
        return [self._finding(each, latency) for each, latency in zip(architectures, latencies, strict=True)]

    def judge(self, architecture: Architecture, finding: Finding) -> Worth:
        """Reward, with the penalty of what exceeds the limits, and quality without regard to latency."""
        own, reward = self.chosen.search, self.chosen.search.reward
        quality = rewards.quality(reward, score=finding.score, loss=finding.loss)
        latencies = {"latency_ms": finding.latency_ms, "teacher_ms": self.teacher_ms}
        excess = rewards.excess(finding.latency_ms, limit=self.limit_ms) + self.oversize(architecture)
        penalty = own.limit_penalty * excess
        return Worth(rewards.reward(reward, quality=quality, **latencies) - penalty, quality, penalty)

    def oversize(self, architecture: Architecture) -> float:
        """Share by which the parameters exceed the limit; 0 within it, or without one."""
        share = self.chosen.search.max_size_share
        return 0.0 if share is None else oversize(architecture, share, teacher=self.config)

    def _fits(self, architecture: Architecture) -> bool:
        """Whether an architecture is known to keep to the limits, of size and of a latency that is predicted."""
        if self.oversize(architecture):
            return False
        if self.limit_ms is None or self.chosen.search.latency.source == "measured":
            return True
        if architecture not in self._within:
            (latency,) = self.latencies.latencies([architecture])
            self._within[architecture] = not rewards.excess(latency, limit=self.limit_ms)
        return self._within[architecture]

    @cached_property
    def _within(self) -> dict[Architecture, bool]:
        """Whether an architecture's predicted latency keeps to the limit, of those that were asked for."""
        return {}

    def _finding(self, architecture: Architecture, latency_ms: float) -> Finding:
        about = architecture.as_dict()
        facts = self._estimates.find(about)
        if facts is None:
            facts = self._estimates.keep(about, vars(self._estimator.estimate(architecture)))
        return Finding(**facts, latency_ms=latency_ms)

    @cached_property
    def _estimates(self) -> Journal:
        inputs = {name: key for name, key in self.job.keys.items() if name != "latency"}
        return Journal(self.known / f"estimates-{recipe_key(self.chosen.estimate(inputs))}")

    @cached_property
    def _estimator(self) -> Estimator:
        return open_estimator(lessons_of(self.chosen, self.job), self.chosen.space)


def lessons_of(chosen: SearchStageSettings, job: Job) -> Lessons[Any]:
    """What an estimator is made from, of the inputs of a search, of its candidates or of its supernet."""
    sources = Sources(
        job.given("data").folder,
        teachers=job.folders("teacher-dir"),
        teacher_outputs=job.folders("teacher-outputs"),
        supernet=job.folder_of("supernet"),
    )
    own, origin = chosen.search.estimator, model_folder(chosen.origin)
    facts_of(origin, origin=str(origin)).check_reading(own.trained(chosen.training).max_length)
    return Lessons(own, chosen.training, sources, origin, execution=job.execution, lengths=chosen.teacher_lengths)
