"""Table values: how the numbers of a line are written, and which one is the best of its column."""

from collections.abc import Sequence
from dataclasses import replace

from distilgrid.reporting import wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line, spread
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.table import Value

EMPTY = Value(wording.DASH)


def model(line: Line) -> Value:
    """The method, and in small print the student or teacher."""
    return Value(line.labels["method"], line.name)


def mean(values: list[float], scoring: Scoring) -> Value:
    """The mean, with the standard deviation and the number of seeds."""
    deviation = spread(values)
    shown = wording.DASH if deviation is None else scoring.score(deviation)
    return Value(scoring.score(sum(values) / len(values)), f"{wording.PLUS_MINUS} {shown}, n={len(values)}")


def scores(lines: Sequence[Line]) -> list[Value]:
    """The main scores."""
    return mark(
        lines, [mean(line.scores, line.scoring) for line in lines], [_merit(line, line.score) for line in lines]
    )


def difference(findings: Findings, line: Line) -> Value:
    """The difference to the baseline, with its interval.

    The value has a tone when the interval excludes zero, and a star when it stays clear among all comparisons.
    """
    found = findings.differences.get(line.key)
    if found is None:
        baseline = line.labels["method"] == findings.collected.plan.params.report.baseline
        return Value("baseline") if baseline else EMPTY
    tone = "" if found.verdict == "unclear" else found.verdict
    star = wording.SURE if findings.is_sure(line) else ""
    scoring = line.scoring
    return Value(scoring.signed(found.value) + star, scoring.bounds(found.low, found.high), tone=tone)


def parameters(lines: Sequence[Line]) -> list[Value]:
    """Numbers of parameters."""
    values = [line.facts["parameters"] for line in lines]
    return mark(lines, [Value(wording.count(value)) for value in values], [-value for value in values])


def sizes(lines: Sequence[Line]) -> list[Value]:
    """Sizes of the weights on disk."""
    values = [line.facts["size_bytes"] for line in lines]
    return mark(lines, [Value(wording.size(value)) for value in values], [-value for value in values])


def speeds(lines: Sequence[Line], runtime: str) -> list[Value]:
    """Latencies in a runtime, with the speed-up over the teacher."""
    found = [line.speeds.get(runtime) for line in lines]
    return mark(lines, [_speed(line, runtime) for line in lines], [-s.latency_ms if s else None for s in found])


def exports(lines: Sequence[Line], runtime: str) -> list[Value]:
    """Scores of the exports for a runtime, with their change to torch."""
    merits = [_merit(line, line.export_score(runtime)) for line in lines]
    return mark(lines, [_export(line, runtime) for line in lines], merits)


def mark(lines: Sequence[Line], shown: list[Value], values: Sequence[float | None]) -> list[Value]:
    """The shown values, with the students' highest marked as best unless all students are equal."""
    known = {v for line, v in zip(lines, values, strict=True) if v is not None and not line.is_teacher}
    best = max(known) if len(known) > 1 else None
    return [
        replace(written, best=best is not None and value == best and not line.is_teacher)
        for line, written, value in zip(lines, shown, values, strict=True)
    ]


def number(value: float | None, pattern: str) -> Value:
    """A number formatted by `pattern`, or a dash."""
    return EMPTY if value is None else Value(pattern.format(value))


def _merit(line: Line, score: float | None) -> float | None:
    return None if score is None else line.scoring.merit(score)


def _speed(line: Line, runtime: str) -> Value:
    if runtime in line.rejected:
        return Value("rejected")
    speed = line.speeds.get(runtime)
    if speed is None:
        return EMPTY
    against = [speed.same] if runtime.startswith("torch-") else [speed.same, speed.torch]
    note = " / ".join(wording.times(factor) for factor in against if factor is not None)
    return Value(wording.milliseconds(speed.latency_ms), note)


def _export(line: Line, runtime: str) -> Value:
    score, change = line.export_score(runtime), line.export_change(runtime)
    if score is None or change is None:
        return EMPTY
    return Value(line.scoring.score(score), f"{line.scoring.signed(change)}, n={len(line.exports[runtime])}")
