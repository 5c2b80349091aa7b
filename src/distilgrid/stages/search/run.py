"""Stage `search`: propose, estimate and time architectures, and keep the best."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import verified, write_json, writing
from distilgrid.core.errors import UserError
from distilgrid.search import rewards
from distilgrid.search.architecture import SearchSpace
from distilgrid.search.best import BEST
from distilgrid.search.latencies import refuse_impossible_limit
from distilgrid.search.loop import search
from distilgrid.search.reward_settings import LimitReward
from distilgrid.search.trial import Trial, as_table, best_trials
from distilgrid.stages.search.searching import Searching

LOOKED_AT, MEASURED = 2000, 4
"""Architectures that are looked at for a fast one: so many are predicted, or the smallest of them measured."""


def run_search(
    searching: Searching, *, after: Sequence[Path] = (), out: Path, labels: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Search; returns what was found, the highest reward first.

    What is found out about an architecture is kept in `searching.known`, and shared by the searches there. A search
    that was killed and is run again takes it from there, and makes the same trials.

    Args:
        searching: the search.
        after: the candidates of the last episode, where candidates are jobs.
        out: where `trials.parquet`, `best.json` and `search.json` go.
        labels: what `run.json` says about it.

    Raises:
        UserError: when an input is missing or damaged, settings do not fit each other, or no architecture keeps to the
            latency limit.
    """
    settings = searching.settings
    check_candidates(after)
    with writing(out, recipe=searching.recipe, labels=labels) as folder:
        check_limits(searching)
        trials = search(
            searching.controller,
            examine=searching.examine,
            judge=searching.judge,
            episodes=settings.episodes,
            candidates=settings.candidates,
        )
        found = _kept(trials, count=settings.keep, limit=settings.limit_ms(teacher_ms=searching.teacher_ms))
        as_table(trials).to_parquet(folder / "trials.parquet", index=False)
        write_json(folder / BEST, found)
        write_json(folder / "search.json", _described(searching) | {"cost": _cost(trials, searching.sources.supernet)})
        return found


def check_candidates(folders: Sequence[Path]) -> None:
    """Refuse what is no finished candidate.

    Raises:
        UserError: naming the folder that is missing, damaged or of another stage.
    """
    for folder in folders:
        verified(folder, stage="candidate")


def check_limits(searching: Searching) -> None:
    """Refuse limits that nothing keeps to, before anything is trained.

    Raises:
        UserError: naming the fastest architecture.
    """
    settings = searching.settings
    limits = [limit] if (limit := settings.limit_ms(teacher_ms=searching.teacher_ms)) else []
    if isinstance(settings.reward, LimitReward):
        limits.append(rewards.limit_ms(settings.reward, teacher_ms=searching.teacher_ms))
    if limits:
        space: SearchSpace = searching.space
        looked_at = sorted(space.sample(LOOKED_AT, seed=0), key=lambda each: each.parameters)
        count = MEASURED if settings.latency.source == "measured" else None
        refuse_impossible_limit(min(limits), looked_at[:count], searching.latencies)


def _kept(trials: list[Trial], *, count: int, limit: float | None) -> list[dict[str, Any]]:
    """The best within the limit, as `best.json` lists them."""
    fast = [trial for trial in trials if limit is None or trial.latency_ms <= limit]
    if not fast:
        nearest = min(trials, key=lambda trial: trial.latency_ms)
        raise UserError(
            f"latency limit {limit:.3g} ms: no trial was that fast; the fastest, {nearest.architecture.name}, takes "
            f"{nearest.latency_ms:.3g} ms; raise the limit, the number of episodes, or narrow the space"
        )
    best = best_trials(fast, count=count)
    return [
        {**trial.as_dict(), "rank": rank, "architecture": trial.architecture.as_dict()}
        for rank, trial in enumerate(best, start=1)
    ]


def _described(searching: Searching) -> dict[str, Any]:
    settings = searching.settings
    by_loss = settings.reward.kind == "loss-latency"
    return {
        "controller": settings.controller.kind,
        "estimator": settings.estimator.kind,
        "reward": settings.reward.kind,
        "quality": "1 - distillation loss" if by_loss else "score on dev",
        "space": {"size": searching.space.size, "counted": searching.space.counted},
        "teacher": {"name": searching.teacher.name, "latency_ms": searching.teacher_ms},
    }


def _cost(trials: list[Trial], supernet: Path | None) -> dict[str, float]:
    """Seconds of estimates as they would be without what other searches had found out; what went before them."""
    return {
        "architectures": sum(not trial.repeated for trial in trials),
        "estimates_seconds": sum(trial.seconds for trial in trials),
        "preparation_seconds": verified(supernet)["seconds"] if supernet else 0.0,
    }
