"""Summaries of tasks, in a sentence or two and three figures."""

from dataclasses import dataclass

from distilgrid.reporting import wording
from distilgrid.reporting.findings import Findings
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
    scoring, teacher = best.scoring, findings.teacher(best)
    score, taught = scoring.score(best.score), scoring.score(teacher.score)
    kept, fast = f"scores {score} of {taught} ({scoring.title}, student of teacher)", ""
    # A share is meaningless for a score of zero, a negative correlation, or a metric that should be small.
    if teacher.score > 0 and scoring.higher_is_better:
        share, verb = best.score / teacher.score, "keeps" if best.score < teacher.score else "reaches"
        kept = f"{verb} {wording.percent(share)} of the teacher's {scoring.title} ({score} of {taught})"
    figures = [(score, f"{scoring.title}; teacher {taught}")]
    compared = {runtime: speed for runtime, speed in best.speeds.items() if speed.same is not None}
    if compared:
        runtime = min(compared, key=lambda runtime: compared[runtime].latency_ms)
        times = wording.times(compared[runtime].same or 0)
        change = best.export_change(runtime) if runtime.endswith("int8") else None
        fast = f" at {times} its speed ({runtime}{'' if change is None else f': {scoring.points(change)}'})"
        figures.append((times, f"the teacher's speed, both in {runtime}"))
    share = best.facts["parameters"] / teacher.facts["parameters"]
    figures.append((wording.count(best.facts["parameters"]), f"parameters, {wording.percent(share)} of the teacher's"))
    return TaskSummary(task, f"{_named(best)} {kept}{fast}.", _comparison(findings, task, best), figures)


def _comparison(findings: Findings, task: str, best: Line) -> str:
    settings = findings.collected.plan.params
    baseline, confidence = settings.report.baseline, wording.level(settings.report.confidence)
    compared = {line: findings.differences[line.key] for line in findings.of(task) if line.key in findings.differences}
    if not compared:
        alone = baseline in settings.grid.methods
        return f"Only {baseline} was run." if alone else f"{baseline} was not run, so methods have no baseline."

    def points(line: Line) -> str:
        found, scoring = compared[line], line.scoring
        return f"{scoring.points(found.value)}, {confidence} CI {scoring.bounds(found.low, found.high)}"

    better = [line for line, difference in compared.items() if difference.verdict == "better"]
    if better:
        shown = best if best in better else max(better, key=lambda line: compared[line].gain)
        # One clear gain among many comparisons means less.
        sure = sum(findings.is_sure(line) for line in better)
        counts = f"Clear gains in {len(better)} of {len(compared)} comparisons, in {sure} after Holm's correction."
        said = f"{_named(shown)} beats {baseline} by {points(shown).lstrip(f'+{wording.MINUS}')}."
        return said if len(compared) == 1 else f"{said} {counts}"
    worse = [line for line, difference in compared.items() if difference.verdict == "worse"]
    if worse:
        shown = min(worse, key=lambda line: compared[line].gain)
        known = f"No method is clearly better than {baseline}"
        return f"{known}; {_named(shown)} is clearly worse: {points(shown)}."
    shown = max(compared, key=lambda line: compared[line].gain)
    largest = "" if len(compared) == 1 else "largest difference: "
    return f"No method differs clearly from {baseline} ({largest}{_named(shown)} {points(shown)})."


def _named(line: Line) -> str:
    return f"{line.labels['method']} {line.name}"
