"""Sequential verdicts: what a grid's seeds, looked at in their order, say of the claims that are worth more of them.

Nothing is remembered between looks. A comparison's first look takes the grid's own seeds, and each look says how many
the next one takes. So the whole course follows from the results, and a killed run finds it again.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distilgrid.core.planned import TEACHER
from distilgrid.plan.settings import Decide, Replication
from distilgrid.reporting.claims.judge import Judgement, Verdict, distance_of, evaluate, judge_effect
from distilgrid.reporting.claims.schema import LATENCY, POINTS, Claim, ClaimsFile
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.intervals import EXACT, FEWEST_SEEDS, bounds, rows_too_few, seed_error, seeds_needed
from distilgrid.reporting.lines import Line, make_lines
from distilgrid.reporting.replication.spending import levels, schedule
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.searches import SearchLine, search_lines

UNDECIDED: Verdict = "not enough evidence"
PLAUSIBLE = 2
"""The standard errors over seeds by which an effect may still move, before rows are called too few for it."""
GROWTH = 2
"""The factor on the number of seeds up to which looks may be skipped: first estimates of what is needed are rough."""
Group = Line | SearchLine


@dataclass(frozen=True)
class InterimLook:
    """A comparison after some of its seeds. Effect and bounds are unscaled."""

    seeds: int  # the number of seeds
    effect: float  # as in `Result`
    low: float | None  # lower bound of the repeated confidence interval; None when it is not known
    high: float | None  # its upper bound
    level: float | None  # of the test; None for what is measured once, without seeds
    verdict: Verdict  # by the interval


@dataclass(frozen=True)
class SequentialVerdict:
    """The course of a claim over its looks."""

    claim: Claim
    scoring: Scoring  # the direction and the scale of the effects
    looks: tuple[InterimLook, ...]  # in their order
    corrected: Verdict = UNDECIDED  # the verdict at levels that all decided claims share
    wanted: int | None = None  # the number of seeds for the next look, where they are not there yet
    stopped: str = ""  # why a claim without a verdict gets no more seeds
    groups: tuple[Group, ...] = ()  # the students and searches on its sides
    margin: float | None = None  # the size below which its effect is negligible, in its unit

    @property
    def verdict(self) -> Verdict:
        """The verdict of the last look. Without any, both verdicts are the same."""
        return self.looks[-1].verdict if self.looks else self.corrected


def decide(findings: Findings, file: ClaimsFile, settings: Decide) -> list[SequentialVerdict]:
    """The course of each claim that is worth more seeds, in the order of the file."""
    chosen = wanted_claims(file, settings)
    alpha = 1 - findings.collected.plan.params.report.confidence

    @functools.cache
    def judged(count: int) -> dict[str, Judgement]:
        """The claims by the first seeds of every model."""
        return {found.claim.id: found for found in evaluate(first_seeds(findings, count), file)}

    found = []
    for claim in chosen:
        groups = _groups(findings, judged(FEWEST_SEEDS)[claim.id])
        first = max([FEWEST_SEEDS, *(len(own_seeds(findings, group)) for group in groups)])
        groups = _groups(findings, judged(first)[claim.id])  # without those that a later one of their seeds leaves out
        found.append(
            follow(
                lambda count, name=claim.id: judged(count)[name],  # type: ignore[misc]
                first=first,
                there=min((_there(findings, group) for group in groups), default=0),
                settings=settings,
                alpha=alpha,
                claims=len(chosen),
            )
        )
        lacking = _unlisted(findings, groups) if found[-1].wanted is not None else ""
        if lacking:
            found[-1] = replace(found[-1], wanted=None, stopped=f"grid.searches does not list {lacking}")
        found[-1] = replace(found[-1], groups=groups)
    return found


def wanted_claims(file: ClaimsFile, settings: Decide) -> list[Claim]:
    """The claims that `report.decide` names, with the parts of joint ones."""
    if settings.claims == "all":
        return list(file.claims)
    parts = {name for joint in file.joint if joint.id in settings.claims for name in joint.of}
    return [claim for claim in file.claims if claim.id in {*settings.claims, *parts}]


def first_seeds(findings: Findings, count: int) -> Findings:
    """The findings by the first seeds of every student and search: their own seeds, then those that were added."""
    collected = findings.collected
    kept = replace(
        collected,
        models=[
            model
            for model in collected.models
            if model.artefact.labels["method"] == TEACHER
            or model.seed in ordered_seeds(collected.plan.params.grid.seeds, count)
        ],
        searches=[
            search
            for search in collected.searches
            if search.seed
            in ordered_seeds(collected.plan.params.searches[search.artefact.labels["search"]].seeds, count)
        ],
    )
    return Findings(kept, make_lines(kept), findings.differences)


def ordered_seeds(own: Sequence[int], count: int) -> list[int]:
    """The first `count` seeds: own ones in their order, then the integers after the largest."""
    return [*own, *range(max(own) + 1, max(own) + 1 + count)][:count]


def own_seeds(findings: Findings, group: Group) -> list[int]:
    """The seeds that a group has without replication."""
    params = findings.collected.plan.params
    return params.grid.seeds if isinstance(group, Line) else params.searches[group.labels["search"]].seeds


def _groups(findings: Findings, judgement: Judgement) -> tuple[Group, ...]:
    """The students and searches on a claim's sides, with all their seeds."""
    named = {group_key(group) for found in judgement.contrasts for group in found.weights if not group.is_teacher}
    known: list[Group] = [*findings.lines, *(each for task in findings.tasks for each in search_lines(findings, task))]
    return tuple(group for group in known if group_key(group) in named)


def _unlisted(findings: Findings, groups: Sequence[Group]) -> str:
    """A search that runs for a student alone, whose other seeds the grid does not want; empty without one."""
    names = [group.labels["search"] for group in groups if isinstance(group, SearchLine)]
    return next((name for name in names if name not in findings.collected.plan.params.grid.searches), "")


def group_key(group: Group | Replication) -> tuple[Any, ...]:
    """What tells a group, or the replication of one, from others, whatever seeds it has."""
    return tuple(sorted(group.labels.items()))


def _there(findings: Findings, group: Group) -> int:
    """The number of seeds of a group that are there, in their order."""
    found = {run.seed for run in group.models}
    wanted = ordered_seeds(own_seeds(findings, group), len(found))
    return sum(1 for _ in itertools.takewhile(found.__contains__, wanted))


def follow(
    judged: Callable[[int], Judgement], *, first: int, there: int, settings: Decide, alpha: float, claims: int
) -> SequentialVerdict:
    """The course of one claim over the seeds that have been run.

    Args:
        judged: the claim's judgement by the first seeds, given their number.
        first: the number of seeds at the first look.
        there: the number of seeds that have been run.
        settings: the budget, and the margin of claims that have none.
        alpha: the error rate of all looks at a claim.
        claims: the number of claims, which share `alpha` in corrected verdicts.
    """
    count, looks, corrected, stopped = first, list[InterimLook](), UNDECIDED, ""
    known, planned = judged(first), schedule(first, settings.max_seeds)
    margin = margin_of(known.claim, settings)
    about = functools.partial(SequentialVerdict, known.claim, known.scoring, margin=margin)
    if not known.results:
        return about((), "not in this grid", stopped=f"no {', no '.join(known.missing)}")
    tasks = known.results[0].tasks
    while count <= there or _is_measured_once(known.claim):
        known = judged(count)
        if not known.results or known.results[0].tasks != tasks:  # the mean over other tasks is another effect
            return about(tuple(looks), corrected, stopped=f"no {', no '.join(known.missing)}")
        until = planned[: planned.index(count) + 1]
        looks.append(_look(known, count, margin, levels(until, settings.max_seeds, alpha)[-1]))
        corrected = _look(known, count, margin, levels(until, settings.max_seeds, alpha / claims)[-1]).verdict
        if looks[-1].verdict != UNDECIDED or looks[-1].level is None:
            stopped = "" if looks[-1].verdict != UNDECIDED else "measured once, so seeds say nothing of it"
            return about(tuple(looks), corrected, stopped=stopped)
        stopped = _stopped(known, looks[-1], margin, settings)
        if stopped:
            return about(tuple(looks), corrected, stopped=stopped)
        needed = _needed(known, looks[-1], margin)
        count = next(later for later in planned if later > count and later >= min(needed, GROWTH * count, planned[-1]))
    return about(tuple(looks), corrected, wanted=count)


def _is_measured_once(claim: Claim) -> bool:
    """Whether seeds say nothing of a claim's numbers."""
    return claim.metric.startswith(LATENCY)


def margin_of(claim: Claim, settings: Decide) -> float | None:
    """The size below which an effect of a claim is negligible, in its unit; None when nothing says."""
    return claim.margin or claim.minimum or (settings.margin if claim.unit == POINTS else None)


def _look(judgement: Judgement, count: int, margin: float | None, level: float) -> InterimLook:
    claim, scoring, found = judgement.claim, judgement.scoring, judgement.results[0].found
    between = bounds(found, 1 - level)
    verdict = judge_effect(claim, scoring, found.effect, between, margin=margin)
    low, high = between or (None, None)
    return InterimLook(count, found.effect, low, high, None if _is_measured_once(claim) else level, verdict)


def _stopped(judgement: Judgement, look: InterimLook, margin: float | None, settings: Decide) -> str:
    """Why a comparison without a verdict gets no more seeds, if it does not.

    One is that no seed differs, as in numbers of parameters. Another is that rows are too few for any effect that its
    seeds still leave plausible. Such a stop makes no verdict more likely.
    """
    if look.seeds >= settings.max_seeds:
        return "report.decide.max_seeds is reached"
    width = math.inf if look.low is None or look.high is None else look.high - look.low
    if width < EXACT and not judgement.claim.of_searches:
        return "all seeds give the same number"
    found = judgement.results[0].found
    distance = distance_of(judgement.claim, judgement.scoring, found.effect, margin=margin)
    hopeless = rows_too_few(found, distance + PLAUSIBLE * seed_error(found), 1 - (look.level or 0.0))
    return "too few validation rows, whatever the number of seeds" if hopeless else ""


def _needed(judgement: Judgement, look: InterimLook, margin: float | None) -> float:
    """The number of seeds that would decide, if effect and level stay as they are."""
    found = judgement.results[0].found
    distance = distance_of(judgement.claim, judgement.scoring, found.effect, margin=margin)
    return seeds_needed(found, distance, 1 - (look.level or 0.0)) or math.inf
