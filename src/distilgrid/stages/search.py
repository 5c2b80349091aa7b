"""Stage `search`: propose, estimate and time architectures, and keep the best."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distilgrid.artefacts import read_json, trained_model, verified, write_json, writing
from distilgrid.benchmark.settings import Benchmark
from distilgrid.errors import UserError
from distilgrid.fingerprint import recipe_key
from distilgrid.grid_search import KNOWN
from distilgrid.models.source import model_folder, model_revision
from distilgrid.recipes import estimate_recipe, search_recipe
from distilgrid.search import rewards
from distilgrid.search.architecture import Architecture, SearchSpace
from distilgrid.search.best import BEST
from distilgrid.search.controllers.registry import build_controller
from distilgrid.search.encoder import shape_of
from distilgrid.search.estimators.base import Estimate, Estimator
from distilgrid.search.estimators.registry import EstimatorSources, open_estimator
from distilgrid.search.latencies import LatencySource, open_source, refuse_impossible_limit
from distilgrid.search.loop import Finding, search
from distilgrid.search.reward_settings import LimitReward, Reward
from distilgrid.search.settings import Search
from distilgrid.search.space import AnySpace
from distilgrid.search.store import Store
from distilgrid.search.trial import Trial, as_table, best_trials
from distilgrid.training.settings import Training

LOOKED_AT, MEASURED = 2000, 4
"""Architectures that are looked at for a fast one: so many are predicted, or the smallest of them measured."""


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


def run_search(
    *,
    settings: Search,
    space: AnySpace,
    benchmark: Benchmark,
    origin: str,
    seed: int,
    training: Training,
    sources: Sources,
    out: Path,
    labels: Mapping[str, Any],
    subset_seed: int = 0,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Search; returns what was found, the highest reward first.

    What is found out about an architecture is kept beside `out`, and shared by the searches there. A search that was
    killed and is run again takes it from there, and makes the same trials.

    Args:
        settings: the search's.
        space: where it looks.
        benchmark: the protocol of measured latencies.
        origin: source of the pretrained model behind the teacher.
        seed: of the controller.
        training: the common training settings.
        sources: what it is made from.
        out: where `trials.parquet`, `best.json` and `search.json` go.
        labels: what `run.json` says about it.
        subset_seed: of the rows that candidates learn from.
        device: where candidates are trained.

    Raises:
        UserError: when an input is missing or damaged, settings do not fit each other, or no architecture keeps to the
            latency limit.
    """
    conditions, keys = settings.latency.conditions(benchmark), sources.keys()
    recipe = search_recipe(
        settings=settings,
        training=training,
        space=space,
        conditions=conditions,
        benchmark=benchmark,
        origin=model_revision(origin),
        seed=seed,
        inputs=keys,
    )
    with writing(out, recipe=recipe, labels=labels) as folder:
        teacher = shape_of(read_json(model_folder(origin) / "config.json"))
        known = out.parent / KNOWN
        latencies = open_source(
            conditions, protocol=benchmark, predictor=sources.latency, yardstick=teacher, folder=known / "latencies"
        )
        (teacher_ms,) = latencies.latencies([teacher])
        _check_limits(settings, space, latencies, teacher_ms)
        inputs = {name: key for name, key in keys.items() if name != "latency"}
        estimated = estimate_recipe(
            settings=settings.estimator, training=training, origin=model_revision(origin), inputs=inputs
        )
        store = Store(known / f"estimates-{recipe_key(estimated)}")
        taught = EstimatorSources(
            sources.data,
            model_folder(origin),
            sources.teacher_outputs,
            sources.teacher,
            supernet=sources.supernet,
            subset_seed=subset_seed,
            device=device,
        )
        estimator = open_estimator(settings.estimator, space=space, training=training, sources=taught)
        trials = search(
            build_controller(settings.controller, space, seed=seed),
            examine=partial(_examine, estimator, latencies, store),
            judge=partial(_judge, settings.reward, teacher_ms),
            episodes=settings.episodes,
            candidates=settings.candidates,
        )
        found = _kept(settings, trials)
        as_table(trials).to_parquet(folder / "trials.parquet", index=False)
        write_json(folder / BEST, found)
        facts = {"space": {"size": space.size}, "teacher": {"name": teacher.name, "latency_ms": teacher_ms}}
        write_json(folder / "search.json", {**_described(settings), **facts, "cost": _cost(trials, sources.supernet)})
        return found


def _examine(estimator: Estimator, latencies: LatencySource, store: Store, architecture: Architecture) -> Finding:
    (latency,) = latencies.latencies([architecture])
    about = architecture.as_dict()
    facts = store.find(about)
    if facts is None:
        facts = store.keep(about, _facts(estimator.estimate(architecture)))
    return Finding(facts["score"], facts["loss"], latency, facts["seconds"])


def _facts(estimate: Estimate) -> dict[str, float]:
    return {"score": estimate.score, "loss": estimate.loss, "seconds": estimate.seconds}


def _judge(settings: Reward, teacher_ms: float, finding: Finding) -> tuple[float, float]:
    quality = rewards.quality(settings, score=finding.score, loss=finding.loss)
    return rewards.reward(settings, quality=quality, latency_ms=finding.latency_ms, teacher_ms=teacher_ms), quality


def _check_limits(settings: Search, space: SearchSpace, latencies: LatencySource, teacher_ms: float) -> None:
    """Refuse limits that nothing keeps to, before anything is trained."""
    limits = [settings.max_latency] if settings.max_latency else []
    if isinstance(settings.reward, LimitReward):
        limits.append(rewards.limit_ms(settings.reward, teacher_ms=teacher_ms))
    if limits:
        looked_at = sorted(space.sample(LOOKED_AT, seed=0), key=lambda each: each.parameters)
        count = MEASURED if settings.latency.source == "measured" else None
        refuse_impossible_limit(min(limits), looked_at[:count], latencies)


def _kept(settings: Search, trials: list[Trial]) -> list[dict[str, Any]]:
    """The best within the limit, as `best.json` lists them."""
    limit = settings.max_latency
    fast = [trial for trial in trials if limit is None or trial.latency_ms <= limit]
    if not fast:
        nearest = min(trials, key=lambda trial: trial.latency_ms)
        raise UserError(
            f"max_latency {limit:g} ms: no trial was that fast; the fastest, {nearest.architecture.name}, takes "
            f"{nearest.latency_ms:.3g} ms; raise the limit, the number of episodes, or narrow the space"
        )
    best = best_trials(fast, count=settings.keep)
    return [
        {**trial.as_dict(), "rank": rank, "architecture": trial.architecture.as_dict()}
        for rank, trial in enumerate(best, start=1)
    ]


def _described(settings: Search) -> dict[str, str]:
    by_loss = settings.reward.kind == "loss-latency"
    return {
        "controller": settings.controller.kind,
        "estimator": settings.estimator.kind,
        "reward": settings.reward.kind,
        "quality": "1 - distillation loss" if by_loss else "score on dev",
    }


def _cost(trials: list[Trial], supernet: Path | None) -> dict[str, float]:
    """Seconds of estimates as they would be without what other searches had found out; what went before them."""
    return {
        "architectures": sum(not trial.repeated for trial in trials),
        "estimates_seconds": sum(trial.seconds for trial in trials),
        "preparation_seconds": verified(supernet)["seconds"] if supernet else 0.0,
    }
