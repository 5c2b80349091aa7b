"""Stage `search`: propose, estimate and time architectures, and keep the best."""

from collections.abc import Sequence
from typing import Any

from distilgrid.core.artefacts import write_json
from distilgrid.core.errors import UserError
from distilgrid.core.planned import KNOWN
from distilgrid.search import rewards
from distilgrid.search.architecture import Architecture, check_size
from distilgrid.search.best import BEST
from distilgrid.search.decisions import SearchSpace
from distilgrid.search.latencies import refuse_impossible_limit
from distilgrid.search.loop import Trial, as_table, best_trials
from distilgrid.search.loop import search as search_loop
from distilgrid.search.rewards import LimitReward
from distilgrid.stages.job import Job
from distilgrid.stages.search.declare import SearchStageSettings
from distilgrid.stages.search.searching import Searching

LOOKED_AT, MEASURED = 2000, 4
"""Architectures that are tried for the limits: 2,000 where latencies are predicted, else the 4 smallest of them."""


def search(settings: SearchStageSettings, job: Job) -> list[dict[str, Any]]:
    """Search; returns what was found, the highest reward first.

    Findings about an architecture are kept next to the search, or next to its candidates where these are jobs. The
    searches there share them, and a search that was killed finds them again and makes the same trials.

    Raises:
        UserError: when settings do not fit each other, or no architecture keeps to the latency limit.
    """
    candidates, own = job.folders("after"), settings.search
    searching = Searching(settings, job, (candidates[0] if candidates else job.out).parent / KNOWN)
    check_limits(searching)
    trials = search_loop(
        searching.controller,
        examine=searching.examine,
        judge=searching.judge,
        episodes=own.episodes,
        candidates=own.candidates,
    )
    found = _kept(trials, count=own.keep, limit=searching.limit_ms)
    as_table(trials).to_parquet(job.folder / "trials.parquet", index=False)
    write_json(job.folder / BEST, found)
    write_json(job.folder / "search.json", _described(searching, trials))
    return found


def check_limits(searching: Searching) -> None:
    """Refuse limits that no architecture keeps to, before anything is trained.

    Raises:
        UserError: naming the fastest architecture.
    """
    settings = searching.chosen.search
    limits = [limit] if (limit := searching.limit_ms) else []
    if isinstance(settings.reward, LimitReward):
        limits.append(rewards.limit_ms(settings.reward, teacher_ms=searching.teacher_ms))
    if limits or settings.max_size_share is not None:
        space: SearchSpace = searching.chosen.space
        looked_at = _small(searching, sorted(space.sample(LOOKED_AT, seed=0), key=lambda each: each.parameters))
    if limits:
        count = MEASURED if settings.latency.source == "measured" else None
        refuse_impossible_limit(min(limits), looked_at[:count], searching.latencies)


def _small(searching: Searching, looked_at: Sequence[Architecture]) -> list[Architecture]:
    """Those within the limit on parameters; UserError where there are none."""
    share = searching.chosen.search.max_size_share
    if share is not None:
        check_size(looked_at, share, teacher=searching.config)
    return [each for each in looked_at if not searching.oversize(each)]


def _kept(trials: list[Trial], *, count: int, limit: float | None) -> list[dict[str, Any]]:
    """The best within the limit, as `best.json` lists them."""
    if not trials:
        raise UserError("the controller proposed no architecture; widen the space, or raise the search's limits")
    best = best_trials(trials, count=count)
    if not best and limit is None:
        raise UserError("max_size_share: no trial was that small; raise the share, or the number of episodes")
    if not best and limit is not None:
        nearest = min(trials, key=lambda trial: trial.latency_ms)
        raise UserError(
            f"latency limit {limit:.3g} ms: no trial was that fast; the fastest, {nearest.architecture.name}, takes "
            f"{nearest.latency_ms:.3g} ms; raise the limit, the number of episodes, or narrow the space"
        )
    return [
        {**trial.as_dict(), "rank": rank, "architecture": trial.architecture.as_dict()}
        for rank, trial in enumerate(best, start=1)
    ]


def _described(searching: Searching, trials: list[Trial]) -> dict[str, Any]:
    """What was searched by what; seconds of estimates, without findings of other searches, and of the supernet."""
    own, space = searching.chosen.search, searching.chosen.space
    by_loss = own.reward.kind == "loss-latency"
    return {
        "controller": own.controller.kind,
        "estimator": own.estimator.kind,
        "reward": own.reward.kind,
        "quality": "1 - distillation loss" if by_loss else "score on dev",
        "limit_ms": searching.limit_ms,
        "space": {"size": space.size, "counted": space.counted},
        "teacher": {"name": searching.teacher.name, "latency_ms": searching.teacher_ms},
        "cost": {
            "architectures": sum(not trial.repeated for trial in trials),
            "estimates_seconds": sum(trial.seconds for trial in trials),
            "preparation_seconds": sum(supernet.run["seconds"] for supernet in searching.job.each("supernet")),
        },
    }
