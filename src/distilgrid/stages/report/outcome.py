"""Summaries of tasks, in a sentence or two and three figures."""

from dataclasses import dataclass

from distilgrid.reporting import wording
from distilgrid.reporting.findings import Difference, Findings
from distilgrid.reporting.lines import Line


@dataclass(frozen=True)
class TaskSummary:
    """The summary of a task."""

    task: str  # the task's name
    headline: str  # the share of the teacher's score that the best student keeps, and its speed
    comparison: str  # whether a method differs clearly from the baseline
    figures: list[tuple[str, str]]  # pairs of a number and its meaning, at most three


def outcomes(findings: Findings) -> list[TaskSummary]:
    """One summary for each task."""
    return [_outcome(findings, task) for task in findings.tasks]


def _outcome(findings: Findings, task: str) -> TaskSummary:
    students = [line for line in findings.of(task) if not line.is_teacher]
    best = max(students, key=lambda line: line.scoring.merit(line.score))
    return TaskSummary(task, _headline(findings, best), _comparison(findings, task, best), _figures(findings, best))


def _headline(findings: Findings, best: Line) -> str:
    scoring, teacher = best.scoring, findings.teacher(best)
    metric = scoring.title
    scores = f"{scoring.score(best.score)} of {scoring.score(teacher.score)}"
    kept = f"scores {scores} ({metric}, student of teacher)"
    # A share is meaningless for a score of zero, a negative correlation, or a metric that should be small.
    if teacher.score > 0 and scoring.higher_is_better:
        share = best.score / teacher.score
        kept = f"{'keeps' if share < 1 else 'reaches'} {wording.percent(share)} of the teacher's {metric} ({scores})"
    return f"{_named(best)} {kept}{_speed(best)}."


def _speed(best: Line) -> str:
    """The speed-up in the student's fastest runtime."""
    runtime = _fastest(best)
    if runtime is None:
        return ""
    change = best.export_change(runtime) if runtime.endswith("int8") else None
    cost = "" if change is None else f": {best.scoring.points(change)}"
    return f" at {wording.times(best.speeds[runtime].same or 0)} its speed ({runtime}{cost})"


def _fastest(line: Line) -> str | None:
    compared = {runtime: speed.latency_ms for runtime, speed in line.speeds.items() if speed.same is not None}
    return min(compared, key=lambda runtime: compared[runtime]) if compared else None


def _figures(findings: Findings, best: Line) -> list[tuple[str, str]]:
    scoring, teacher, runtime = best.scoring, findings.teacher(best), _fastest(best)
    figures = [(scoring.score(best.score), f"{scoring.title}; teacher {scoring.score(teacher.score)}")]
    if runtime is not None:
        speed = best.speeds[runtime]
        figures.append((wording.times(speed.same or 0), f"the teacher's speed, both in {runtime}"))
    share = best.facts["parameters"] / teacher.facts["parameters"]
    figures.append((wording.count(best.facts["parameters"]), f"parameters, {wording.percent(share)} of the teacher's"))
    return figures


def _comparison(findings: Findings, task: str, best: Line) -> str:
    settings = findings.collected.plan.params
    baseline, confidence = settings.report.baseline, wording.level(settings.report.confidence)
    compared = {line: findings.differences[line.key] for line in findings.of(task) if line.key in findings.differences}
    if not compared:
        alone = baseline in settings.grid.methods
        return f"Only {baseline} was run." if alone else f"{baseline} was not run, so methods have no baseline."
    better = [line for line, difference in compared.items() if difference.verdict == "better"]
    worse = [line for line, difference in compared.items() if difference.verdict == "worse"]
    if better:
        shown = best if best in better else max(better, key=lambda line: compared[line].gain)
        points = _points(shown, compared[shown], confidence).lstrip(f"+{wording.MINUS}")
        return f"{_named(shown)} beats {baseline} by {points}.{_counts(findings, compared, better)}"
    if worse:
        shown = min(worse, key=lambda line: compared[line].gain)
        return (
            f"No method is clearly better than {baseline}; {_named(shown)} is clearly worse: "
            f"{_points(shown, compared[shown], confidence)}."
        )
    shown = max(compared, key=lambda line: compared[line].gain)
    largest = "" if len(compared) == 1 else "largest difference: "
    points = _points(shown, compared[shown], confidence)
    return f"No method differs clearly from {baseline} ({largest}{_named(shown)} {points})."


def _points(line: Line, difference: Difference, confidence: str) -> str:
    interval = line.scoring.bounds(difference.low, difference.high)
    return f"{line.scoring.points(difference.value)}, {confidence} CI {interval}"


def _counts(findings: Findings, compared: dict[Line, Difference], better: list[Line]) -> str:
    """The number of comparisons: one clear gain among many means less."""
    if len(compared) == 1:
        return ""
    sure = sum(findings.is_sure(line) for line in better)
    return f" Clear gains in {len(better)} of {len(compared)} comparisons, in {sure} after Holm's correction."


def _named(line: Line) -> str:
    return f"{line.labels['method']} {line.name}"
