"""What a search and the jobs of its candidates have in common: sources, what is known, how a candidate is examined."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.artefacts import read_json, trained_model, verified
from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.journal import Journal
from distilgrid.models.source import model_folder, model_revision
from distilgrid.plan.recipes import Recipe, estimate_recipe, search_recipe
from distilgrid.search import rewards
from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.base import Controller
from distilgrid.search.controllers.registry import build_controller
from distilgrid.search.encoder import shape_of
from distilgrid.search.estimators.base import Estimator
from distilgrid.search.estimators.registry import EstimatorSources, open_estimator
from distilgrid.search.latencies import LatencySource, open_source
from distilgrid.search.loop import Finding
from distilgrid.search.settings import Search
from distilgrid.search.space import AnySpace
from distilgrid.training.settings import Training


@dataclass(frozen=True)
class Sources:
    """The artefacts that a search is made from.

    Attributes:
        data: prepared data.
        teacher_outputs: recorded outputs on the training rows, for an estimator that distils.
        teacher: fine-tuned, for an estimator whose candidates inherit its weights.
        supernet: for an estimator that asks one.
        latency: a predictor of latencies; None measures.
    """

    data: Path
    teacher_outputs: tuple[Path, ...] = ()
    teacher: Path | None = None
    supernet: Path | None = None
    latency: Path | None = None

    @cached_property
    def keys(self) -> dict[str, Any]:
        """The keys of those that are there, by the command's option.

        Raises:
            UserError: when one is missing or damaged.
        """
        given = {"data": self.data, "supernet": self.supernet, "latency": self.latency}
        keys: dict[str, Any] = {name: verified(folder)["key"] for name, folder in given.items() if folder}
        outputs = [verified(folder, stage="record")["key"] for folder in self.teacher_outputs]
        keys |= {"teacher-dir": trained_model(self.teacher)["key"]} if self.teacher else {}
        return keys | ({"teacher-outputs": outputs[0] if len(outputs) == 1 else outputs} if outputs else {})


@dataclass(frozen=True)
class Searching:
    """A search, opened piece by piece as it is needed.

    Attributes:
        settings: the search's.
        space: where it looks.
        benchmark: the protocol of measured latencies.
        origin: source of the pretrained model behind the teacher.
        seed: of the controller.
        training: the common training settings.
        sources: what it is made from.
        known: folder of what is known of architectures, which searches beside each other share.
        subset_seed: of the rows that candidates learn from.
        device: where candidates are trained.

    Raises:
        UserError: when used: for inputs that are missing or damaged, or settings that do not fit each other.
    """

    settings: Search
    space: AnySpace
    benchmark: Benchmark
    origin: str
    seed: int
    training: Training
    sources: Sources
    known: Path
    subset_seed: int = 0
    device: str = "auto"

    @property
    def recipe(self) -> Recipe:
        """Of its trials."""
        return search_recipe(
            settings=self.settings,
            training=self.training,
            space=self.space,
            conditions=self.settings.latency.conditions(self.benchmark),
            benchmark=self.benchmark,
            origin=model_revision(self.origin),
            seed=self.seed,
            inputs=self.sources.keys,
        )

    @property
    def controller(self) -> Controller:
        """A new one, which has been told nothing."""
        return build_controller(self.settings.controller, self.space, seed=self.seed)

    @cached_property
    def teacher(self) -> Architecture:
        """The teacher's encoder: the yardstick of latencies."""
        return shape_of(read_json(model_folder(self.origin) / "config.json"))

    @cached_property
    def teacher_ms(self) -> float:
        """The teacher's latency."""
        (latency,) = self.latencies.latencies([self.teacher])
        return latency

    @cached_property
    def latencies(self) -> LatencySource:
        """Measured or predicted ones."""
        return open_source(
            self.settings.latency.conditions(self.benchmark),
            protocol=self.benchmark,
            predictor=self.sources.latency,
            yardstick=self.teacher,
            folder=self.known / "latencies",
        )

    def examine(self, architectures: Sequence[Architecture]) -> list[Finding]:
        """Find out what is not known yet: all latencies first, which are measured in groups, then the estimates."""
        latencies = self.latencies.latencies(architectures)
        return [self._finding(each, latency) for each, latency in zip(architectures, latencies, strict=True)]

    def judge(self, finding: Finding) -> tuple[float, float]:
        """Reward, and quality without regard to latency."""
        reward = self.settings.reward
        quality = rewards.quality(reward, score=finding.score, loss=finding.loss)
        latencies = {"latency_ms": finding.latency_ms, "teacher_ms": self.teacher_ms}
        return rewards.reward(reward, quality=quality, **latencies), quality

    def _finding(self, architecture: Architecture, latency_ms: float) -> Finding:
        about = architecture.as_dict()
        facts = self._estimates.find(about)
        if facts is None:
            found = self._estimator.estimate(architecture)
            facts = self._estimates.keep(about, {"score": found.score, "loss": found.loss, "seconds": found.seconds})
        return Finding(facts["score"], facts["loss"], latency_ms, facts["seconds"])

    @cached_property
    def _estimates(self) -> Journal:
        inputs = {name: key for name, key in self.sources.keys.items() if name != "latency"}
        settings, origin = self.settings.estimator, model_revision(self.origin)
        recipe = estimate_recipe(settings=settings, training=self.training, origin=origin, inputs=inputs)
        return Journal(self.known / f"estimates-{recipe_key(recipe)}")

    @cached_property
    def _estimator(self) -> Estimator:
        sources = EstimatorSources(
            self.sources.data,
            model_folder(self.origin),
            self.sources.teacher_outputs,
            self.sources.teacher,
            supernet=self.sources.supernet,
            subset_seed=self.subset_seed,
            device=self.device,
        )
        return open_estimator(self.settings.estimator, space=self.space, training=self.training, sources=sources)
