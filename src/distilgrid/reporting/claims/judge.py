"""Verdicts on a paper's claims: effect and interval for each task, and for their mean."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from distilgrid.reporting.claims.contrasts import Contrast, Resamples, blocks, contrast, measured, missing, values_of
from distilgrid.reporting.claims.schema import LATENCY, MAIN, POINTS, Claim, ClaimsFile
from distilgrid.reporting.collect import TrainedModel
from distilgrid.reporting.findings import Findings, score_resamples
from distilgrid.reporting.intervals import (
    EffectEstimate,
    bounds,
    estimate,
    holm,
    mean_of,
    p_value,
    rows_too_few,
    seeds_needed,
)
from distilgrid.reporting.lines import Line
from distilgrid.reporting.scoring import HUNDRED, Scoring
from distilgrid.reporting.searches import search_lines

Verdict = Literal["confirmed", "refuted", "not enough evidence", "not in this grid"]
ROUNDING = 1e-9
"""Effects below this are rounding errors."""


@dataclass(frozen=True)
class Result:
    """A claim's outcome on one task, or the mean over several. A value is None when it is not known."""

    tasks: tuple[str, ...]  # the tasks
    verdict: Verdict  # follows from the interval
    effect: float  # better less worse (less the second difference), as in `metrics.json`: a share, not points
    low: float | None  # lower bound of the interval
    high: float | None  # upper bound of the interval
    covers: str  # variation within the interval: seeds and rows, seeds, rows, measuring, or nothing
    seeds: int  # the smallest number of seeds of a model
    pairs: int  # number of matched comparisons in the effect
    seeds_needed: int | None  # number of seeds that would make an unclear effect clear
    rows_too_few: bool  # whether no number of seeds would make the effect clear on these rows
    p: float | None = None  # two-sided p-value of no effect
    adjusted: float | None = None  # p corrected for all results of the file's claims


@dataclass(frozen=True)
class Judgement:
    """A claim with its results, the one over all tasks first, and what the grid lacks for it."""

    claim: Claim
    results: tuple[Result, ...]
    missing: tuple[str, ...]
    scoring: Scoring  # the direction of the claim, and the scale of its effects

    @property
    def verdict(self) -> Verdict:
        """The verdict over all tasks."""
        return self.results[0].verdict if self.results else "not in this grid"


def evaluate(findings: Findings, file: ClaimsFile) -> list[Judgement]:
    """Judge every claim of a file by the cells of a grid."""
    found = [(claim, *_contrasts(findings, claim)) for claim in file.claims]
    resamples = _resample(findings, [c for claim, contrasts, _ in found if claim.metric == MAIN for c in contrasts])
    judged = []
    for claim, contrasts, absent in found:
        scoring = _scoring(findings, claim, [each.task for each in contrasts])
        results = tuple(_results(findings, claim, contrasts, resamples, scoring))
        judged.append(Judgement(claim, results, tuple(absent), scoring))
    return _corrected(judged)


def _scoring(findings: Findings, claim: Claim, tasks: Sequence[str]) -> Scoring:
    """The direction and the scale of a claim's effects: of its metric, unless the claim gives a direction or a unit.

    The first task decides, because tasks whose metrics differ in scale or direction have no common mean.
    """
    scores = claim.metric == MAIN and tasks
    known = findings.scoring(tasks[0]) if scores else Scoring(claim.metric, HUNDRED, higher_is_better=True)
    higher = claim.direction == "higher" if claim.direction else known.higher_is_better
    return replace(known, scale=known.scale if claim.unit == POINTS else 1.0, higher_is_better=higher)


def _corrected(judged: Sequence[Judgement]) -> list[Judgement]:
    """The judgements with p-values that are corrected for all results together (Holm 1979)."""
    known = {(n, m): r.p for n, each in enumerate(judged) for m, r in enumerate(each.results) if r.p is not None}
    adjusted = holm(known)
    return [
        replace(each, results=tuple(replace(r, adjusted=adjusted.get((n, m))) for m, r in enumerate(each.results)))
        for n, each in enumerate(judged)
    ]


def _contrasts(findings: Findings, claim: Claim) -> tuple[list[Contrast], list[str]]:
    """The claim's comparison on each task that has one, and what the other tasks lack.

    What is lacking is named once, with its tasks if others have it.
    """
    contrasts: list[Contrast] = []
    lacking: dict[str, list[str]] = {}
    for task in claim.tasks or [task for task in findings.tasks if task not in claim.without]:
        found = _contrast(findings, claim, task)
        if isinstance(found, Contrast):
            contrasts.append(found)
        else:
            for thing in found:
                lacking.setdefault(thing, []).append(task)
    if not contrasts and not lacking:
        return [], [f"task but {', '.join(claim.without)}"]
    return contrasts, [
        f"{thing} on {', '.join(tasks)}" if contrasts and thing != f"task {tasks[0]}" else thing
        for thing, tasks in lacking.items()
    ]


def _contrast(findings: Findings, claim: Claim, task: str) -> Contrast | list[str]:
    """The claim's comparison on a task, or what the task lacks."""
    if task not in findings.tasks:
        return [f"task {task}"]
    lines = search_lines(findings, task) if claim.of_searches else findings.of(task)
    found = contrast(claim, task, lines, teacher=findings.teacher)
    if found is None:
        return missing(claim, lines)
    if any(values_of(line, claim.metric) is None for line in found.weights):
        return [f"metric {claim.metric}"]
    return found


def _resample(findings: Findings, contrasts: Iterable[Contrast]) -> Resamples:
    """The main score of each model on each resample of its task's rows, by folder: (S,)."""
    involved: dict[str, list[TrainedModel]] = {}
    for found in contrasts:
        lines = [line for line in found.weights if isinstance(line, Line)]
        involved.setdefault(found.task, []).extend(model for line in lines for model in line.models)
    resampled = [score_resamples(task, models, findings.collected) for task, models in involved.items()]
    return {folder: scores for found in resampled for folder, scores in found.items()}


def _results(
    findings: Findings, claim: Claim, contrasts: Sequence[Contrast], resamples: Resamples, scoring: Scoring
) -> Iterable[Result]:
    estimates = [_estimate(findings, claim, found, resamples) for found in contrasts]
    confidence = findings.collected.plan.params.report.confidence
    if len(contrasts) > 1:
        yield _result(claim, contrasts, mean_of(estimates), confidence, scoring)
    if claim.aggregate == "each" or len(contrasts) == 1:
        for found, estimated in zip(contrasts, estimates, strict=True):
            yield _result(claim, [found], estimated, confidence, scoring)


def _estimate(findings: Findings, claim: Claim, found: Contrast, resamples: Resamples) -> EffectEstimate:
    if claim.metric.startswith(LATENCY):
        return measured(found.weights, claim.metric.removeprefix(LATENCY))
    if claim.metric != MAIN:
        return estimate(blocks(found.weights, claim.metric, None), rows=0)
    _, split = findings.main(found.task)
    rows = findings.collected.datasets[found.task]["splits"][split]["rows"]
    return estimate(blocks(found.weights, claim.metric, resamples), rows=rows)


def _result(
    claim: Claim, contrasts: Sequence[Contrast], found: EffectEstimate, confidence: float, scoring: Scoring
) -> Result:
    between = bounds(found, confidence)
    verdict, distance = _judge(claim, scoring, found.effect, between)
    unclear = verdict == "not enough evidence"
    return Result(
        tasks=tuple(c.task for c in contrasts),
        verdict=verdict,
        effect=found.effect,
        low=between[0] if between else None,
        high=between[1] if between else None,
        covers=found.covers,
        seeds=min(len(line.models) for c in contrasts for line in c.weights if not line.is_teacher),
        pairs=sum(c.pairs for c in contrasts),
        seeds_needed=seeds_needed(found, distance, confidence) if unclear else None,
        rows_too_few=unclear and rows_too_few(found, distance, confidence),
        p=p_value(found),
    )


def _judge(claim: Claim, scoring: Scoring, effect: float, between: tuple[float, float] | None) -> tuple[Verdict, float]:
    """The verdict, and the distance of the effect beyond the threshold on its side: `minimum` or zero."""
    minimum, gain = claim.minimum / scoring.scale, scoring.merit(effect)
    distance = gain - minimum if gain > minimum else -gain if gain < 0 else 0.0
    distance = distance if distance > ROUNDING else 0.0
    if between is None:
        return "not enough evidence", distance
    low, high = sorted(scoring.merit(bound) for bound in between)
    if low > minimum + ROUNDING:
        return "confirmed", distance
    return "refuted" if high < -ROUNDING else "not enough evidence", distance
