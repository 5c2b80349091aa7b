"""Verdicts on a paper's claims: effect and interval for each task, and for their mean.

A contrast holds the lines on the sides of a claim. A grid that lacks cells for it is told what it lacks.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from distilgrid.reporting.budgets import Budget, ratio
from distilgrid.reporting.claims.matching import Contrast, Weights, contrast, missing
from distilgrid.reporting.claims.schema import LATENCY, LESS, MAIN, POINTS, Claim, ClaimsFile, JointClaim
from distilgrid.reporting.collect import TrainedModel
from distilgrid.reporting.contrasts import Resamples, seed_blocks
from distilgrid.reporting.findings import Findings, samples_for, score_resamples
from distilgrid.reporting.intervals import (
    FEWEST_SEEDS,
    EffectEstimate,
    SeedBlock,
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
from distilgrid.reporting.searches import SearchLine, search_lines

Verdict = Literal["confirmed", "refuted", "negligible", "not enough evidence", "not in this grid"]
ROUNDING = 1e-9
"""Effects below this are rounding errors."""


@dataclass(frozen=True)
class Result:
    """A claim's outcome on one task, or the mean over several. A value is None when it is not known."""

    tasks: tuple[str, ...]  # the tasks
    found: EffectEstimate  # the effect with its error
    verdict: Verdict  # follows from the interval
    effect: float  # better less worse (less the second difference), as in `metrics.json`: a share, not points
    low: float | None  # lower bound of the interval
    high: float | None  # upper bound of the interval
    covers: str  # variation within the interval: seeds and rows, seeds, measuring, or nothing
    seeds: int  # the smallest number of seeds of a model
    pairs: int  # number of matched comparisons in the effect
    seeds_needed: int | None  # number of seeds that would make an unclear effect clear
    rows_too_few: bool  # whether no number of seeds would make the effect clear on these rows
    p: float | None = None  # two-sided p-value of the threshold that the verdict compares with
    adjusted: float | None = None  # p corrected for all results of the file's claims
    corrected: Verdict = "not enough evidence"  # the verdict by `adjusted`
    budget: Budget | None = None  # ratio of the sides' training budgets; None where they are equal or do not matter


@dataclass(frozen=True)
class Judgement:
    """A claim with its results, the one over all tasks first, and what the grid lacks for it."""

    claim: Claim
    results: tuple[Result, ...]
    missing: tuple[str, ...]
    scoring: Scoring  # the direction of the claim, and the scale of its effects
    contrasts: tuple[Contrast, ...] = ()  # the comparisons behind the results, one for each task

    @property
    def verdict(self) -> Verdict:
        """The verdict over all tasks, by the claim's own interval."""
        return self.results[0].verdict if self.results else "not in this grid"

    @property
    def corrected(self) -> Verdict:
        """The verdict over all tasks, corrected for all results of the file."""
        return self.results[0].corrected if self.results else "not in this grid"


class Judged(Protocol):
    """A claim with two verdicts over all tasks: judged once, or over several looks."""

    @property
    def claim(self) -> Claim:
        """The claim."""

    @property
    def verdict(self) -> Verdict:
        """The verdict by the claim's own interval."""

    @property
    def corrected(self) -> Verdict:
        """The verdict corrected for the other claims."""


@dataclass(frozen=True)
class JointJudgement:
    """A conjunction of claims with its verdicts over all tasks, and the verdicts of its parts."""

    claim: JointClaim
    parts: tuple[Judged, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict by the parts' own verdicts."""
        return conjunction([part.verdict for part in self.parts])

    @property
    def corrected(self) -> Verdict:
        """The verdict by the parts' corrected verdicts."""
        return conjunction([part.corrected for part in self.parts])


def conjunction(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a claim that all of several claims hold.

    It is confirmed when each part is: this intersection-union test keeps the level of its parts without a correction
    (Berger 1982). It is refuted when one part is, which has several chances, so that only the corrected verdict keeps
    the level; and negligible when one part is. A part without cells leaves the rest undecided, unless another part is
    refuted.
    """
    if "refuted" in verdicts:
        return "refuted"
    if "not in this grid" in verdicts:
        return "not in this grid"
    if "negligible" in verdicts:
        return "negligible"
    return "confirmed" if set(verdicts) == {"confirmed"} else "not enough evidence"


def judge_joint(file: ClaimsFile, judged: Sequence[Judged]) -> list[JointJudgement]:
    """Judge the conjunctions of a file whose parts are all among the judged claims."""
    known = {each.claim.id: each for each in judged}
    whole = [joint for joint in file.joint if set(joint.of) <= set(known)]
    return [JointJudgement(joint, tuple(known[name] for name in joint.of)) for joint in whole]


def evaluate(findings: Findings, file: ClaimsFile) -> list[Judgement]:
    """Judge every claim of a file by the cells of a grid."""
    found = [(claim, *_contrasts(findings, claim)) for claim in file.claims]
    scored = [contrast for claim, contrasts, _ in found if claim.metric == MAIN for contrast in contrasts]
    # Equal comparisons of the main table and of claims have equal intervals where both take as many resamples.
    family = max(len(findings.differences), sum(_count(claim, contrasts) for claim, contrasts, _ in found))
    resamples = _resample(findings, scored, samples_for(family, findings.collected))
    judged = []
    for claim, contrasts, absent in found:
        scoring = _scoring(findings, claim, [each.task for each in contrasts])
        results = tuple(_results(findings, claim, contrasts, resamples, scoring))
        judged.append(Judgement(claim, results, tuple(absent), scoring, tuple(contrasts)))
    return _corrected(judged, findings.collected.plan.params.report.confidence)


def _scoring(findings: Findings, claim: Claim, tasks: Sequence[str]) -> Scoring:
    """The direction and the scale of a claim's effects: of its metric, unless the claim gives a direction or a unit.

    The first task decides, because tasks whose metrics differ in scale or direction have no common mean.
    """
    scores = claim.metric == MAIN and tasks
    known = findings.scoring(tasks[0]) if scores else Scoring(claim.metric, HUNDRED, not claim.metric.startswith(LESS))
    higher = claim.direction == "higher" if claim.direction else known.higher_is_better
    return replace(known, scale=known.scale if claim.unit == POINTS else 1.0, higher_is_better=higher)


def _corrected(judged: Sequence[Judgement], confidence: float) -> list[Judgement]:
    """The judgements with p-values and verdicts that are corrected for all results together (Holm 1979)."""
    known = {(n, m): r.p for n, each in enumerate(judged) for m, r in enumerate(each.results) if r.p is not None}
    adjusted = holm(known)
    return [
        replace(
            each,
            results=tuple(_corrected_result(r, adjusted.get((n, m)), confidence) for m, r in enumerate(each.results)),
        )
        for n, each in enumerate(judged)
    ]


def _corrected_result(result: Result, adjusted: float | None, confidence: float) -> Result:
    """A result with its corrected verdict. Bounds of a measurement are no test, so that nothing corrects them."""
    known = result.covers == "measuring" or (
        adjusted is not None and adjusted <= 1 - confidence and result.seeds >= FEWEST_SEEDS
    )
    corrected: Verdict = result.verdict if known else "not enough evidence"
    return replace(result, adjusted=adjusted, corrected=corrected)


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
    trained = [line for line in found.weights if isinstance(line, Line)]
    failed = [line for line in trained if findings.failure(line)]
    if failed:
        methods = dict.fromkeys(
            f"{'' if line.failed else 'the teacher of '}{line.labels['method']}, {line.name}" for line in failed
        )
        return [f"models that learned anything for {'; '.join(methods)}"]
    return found


def _count(claim: Claim, contrasts: Sequence[Contrast]) -> int:
    """The number of results of a claim, which Holm's correction counts."""
    each = claim.aggregate == "each" or len(contrasts) == 1
    return (len(contrasts) > 1) + (len(contrasts) if each else 0)


def _resample(findings: Findings, contrasts: Iterable[Contrast], samples: int) -> Resamples:
    """The main score of each model on each resample of its task's rows, by folder: (S,)."""
    involved: dict[str, list[TrainedModel]] = {}
    for found in contrasts:
        lines = [line for line in found.weights if isinstance(line, Line)]
        involved.setdefault(found.task, []).extend(model for line in lines for model in line.models)
    resampled = [score_resamples(task, models, findings.collected, samples) for task, models in involved.items()]
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
    rows = findings.collected.datasets[found.task]["splits"][findings.main(found.task)[1]]["rows"]
    drawn = resamples if claim.metric == MAIN else None
    return estimate(seed_blocks(found.weights, lambda line: _values(line, claim.metric), drawn), rows=rows)


def _result(
    claim: Claim, contrasts: Sequence[Contrast], found: EffectEstimate, confidence: float, scoring: Scoring
) -> Result:
    between = bounds(found, confidence)
    verdict = judge_effect(claim, scoring, found.effect, between, margin=claim.margin)
    distance = distance_of(claim, scoring, found.effect, margin=claim.margin)
    unclear = verdict == "not enough evidence"
    return Result(
        tasks=tuple(c.task for c in contrasts),
        found=found,
        verdict=verdict,
        effect=found.effect,
        low=between[0] if between else None,
        high=between[1] if between else None,
        covers=found.covers,
        seeds=min(len(line.models) for c in contrasts for line in c.weights if not line.is_teacher),
        pairs=sum(c.pairs for c in contrasts),
        seeds_needed=seeds_needed(found, distance, confidence) if unclear else None,
        rows_too_few=unclear and rows_too_few(found, distance, confidence),
        p=_p_value(claim, scoring, found, verdict),
        budget=None if claim.metric.startswith(LATENCY) else ratio(pair for c in contrasts for pair in c.compared),
    )


def _p_value(claim: Claim, scoring: Scoring, found: EffectEstimate, verdict: Verdict) -> float | None:
    """The p-value against `minimum` beyond it, against zero on the other side, and 1 between them.

    That of a negligible effect is against the nearer end of the margin: twice the larger of the one-sided tests.
    """
    if verdict == "negligible" and claim.margin is not None:
        return p_value(found, against=math.copysign(claim.margin / scoring.scale, found.effect))
    minimum, gain = claim.minimum / scoring.scale, scoring.merit(found.effect)
    if 0 < gain <= minimum:
        return None if p_value(found) is None else 1.0
    return p_value(found, against=scoring.merit(minimum) if gain > minimum else 0.0)


def judge_effect(
    claim: Claim, scoring: Scoring, effect: float, between: tuple[float, float] | None, *, margin: float | None
) -> Verdict:
    """The verdict that an interval gives.

    Args:
        claim: the claim.
        scoring: the direction and the scale of its effects.
        effect: the unscaled effect.
        between: the unscaled interval, or None.
        margin: the size, in the claim's unit, below which an effect is negligible: the two one-sided tests of
            equivalence (Schuirmann 1987) as an interval that lies within the margin on both sides. None tests none.
    """
    if between is None:
        return "not enough evidence"
    low, high = sorted(scoring.scale * scoring.merit(bound) for bound in between)
    if low > claim.minimum + ROUNDING:
        return "confirmed"
    if high < -ROUNDING:
        return "refuted"
    return "negligible" if margin is not None and -margin < low and high < margin else "not enough evidence"


def distance_of(claim: Claim, scoring: Scoring, effect: float, *, margin: float | None) -> float:
    """The unscaled distance of an effect from the nearest bound that would decide, so far as it lies beyond one.

    Bounds are `minimum` and zero on the sides that the effect exceeds, and `margin` on the side that it does not.
    """
    gain = scoring.scale * scoring.merit(effect)
    beyond = gain - claim.minimum if gain > claim.minimum else max(0.0, -gain)
    within = 0.0 if margin is None else margin - abs(gain)
    distance = max(beyond, within)
    return distance / scoring.scale if distance > ROUNDING else 0.0


def values_of(line: Line | SearchLine, metric: str) -> list[float] | None:
    """A claim's metric for each seed of a line, or once for a latency; None when the line lacks it."""
    if isinstance(line, SearchLine):
        return line.values(metric)
    if metric.startswith(LATENCY):
        speed = line.speeds.get(metric.removeprefix(LATENCY))
        return None if speed is None else [speed.latency_ms]
    found = [model.metrics.get("score" if metric == MAIN else metric) for model in line.models]
    numbers = [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    return numbers if len(numbers) == len(found) else None


def _values(line: Line | SearchLine, metric: str) -> list[float]:
    found = values_of(line, metric)
    assert found is not None, "contrasts have what their claims compare"
    return found


def measured(weights: Weights, runtime: str) -> EffectEstimate:
    """An effect on latencies in ms, which are measured once for an architecture.

    Its bounds assume that all medians lie at the worse ends of their intervals.
    """
    speeds = {line: line.speeds[runtime] for line in weights if isinstance(line, Line)}
    effect = sum(weights[line] * speed.latency_ms for line, speed in speeds.items())
    errors = [abs(weights[line]) * speed.error_ms for line, speed in speeds.items() if speed.error_ms is not None]
    found = estimate([SeedBlock(np.array([effect]))], rows=0)
    return found if len(errors) < len(speeds) else EffectEstimate(found.effect, None, (), error=sum(errors))
