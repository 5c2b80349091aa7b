"""Table values: how the numbers of a line are written, and which one is the best of its column."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from distilgrid.reporting import wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line, spread
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.table import Value
from distilgrid.runtimes.registry import runs_trained

EMPTY = Value(wording.DASH)
TEACHER = "the teacher"


def model(line: Line) -> Value:
    """The method, and in small print the student or teacher."""
    return Value(line.labels["method"], line.name)


def mean(values: list[float], scoring: Scoring) -> Value:
    """The mean, with the standard deviation and the number of seeds."""
    deviation = spread(values)
    shown = wording.DASH if deviation is None else scoring.score(deviation)
    return Value(scoring.score(sum(values) / len(values)), f"{wording.PLUS_MINUS} {shown}, n={len(values)}")


def of_models(line: Line, values: list[float], scoring: Scoring) -> Value:
    """The mean over a line's models, with the number of those that learned nothing."""
    return constant(line, mean(values, scoring) if values else EMPTY)


def constant(line: Line, value: Value) -> Value:
    """A value with the number of the line's models that learned nothing in its small print."""
    if not line.failed:
        return value
    counted = f"{line.failed} {wording.CONSTANT}"
    return replace(value, note=f"{value.note}, {counted}" if value.note else counted)


def constant_caption(lines: Iterable[Line]) -> str:
    """The meaning of that number; empty where all models learned something."""
    return wording.CONSTANT_MODELS if any(line.failed for line in lines) else ""


def marked(lines: Sequence[Line], written: Callable[[Line], tuple[Value, float | None]]) -> list[Value]:
    """Written values of lines, with the students' best marked unless all students are equal.

    `written` gives a line's value, and a number that is higher for better values, or None.
    """
    shown = [written(line) for line in lines]
    known = {merit for line, (_, merit) in zip(lines, shown, strict=True) if merit is not None and not line.is_teacher}
    best = max(known) if len(known) > 1 else None
    return [
        replace(value, best=best is not None and merit == best and not line.is_teacher)
        for line, (value, merit) in zip(lines, shown, strict=True)
    ]


def scores(lines: Sequence[Line]) -> list[Value]:
    """The main scores, the best on dev marked: a mark chooses, and validation scores choose nothing.

    Models that learned nothing are counted in small print, and their line is never the best.
    """

    def written(line: Line) -> tuple[Value, float | None]:
        return of_models(line, line.scores, line.scoring), None if line.failed else line.dev_merit

    return marked(lines, written)


def smallest(lines: Sequence[Line], fact: str, write: Callable[[float], str]) -> list[Value]:
    """A fact of each line, the smaller the better."""
    return marked(lines, lambda line: (Value(write(line.facts[fact])), -line.facts[fact]))


def difference(findings: Findings, line: Line) -> Value:
    """The difference to the baseline, with its interval.

    The value has a tone when the interval excludes zero, and a star when it stays clear among all comparisons. One
    seed has no interval. A comparison that is left out has the reason in small print.
    """
    found = findings.differences.get(line.key)
    if found is None:
        if why := findings.left_out(line):
            return replace(EMPTY, note=why)
        baseline = line.labels["method"] == findings.collected.plan.params.report.baseline
        return Value("baseline") if baseline else EMPTY
    tone = "" if found.verdict == "unclear" else found.verdict
    star = wording.SURE if findings.is_sure(line) else ""
    scoring = line.scoring
    if found.low is None or found.high is None:
        return Value(scoring.signed(found.value), "one seed")
    return Value(scoring.signed(found.value) + star, scoring.bounds(found.low, found.high), tone=tone)


def speed(line: Line, runtime: str) -> tuple[Value, float | None]:
    """The latency in a runtime with the speed-up over the teacher, and its merit."""
    found = line.speeds.get(runtime)
    if found is None:
        return Value("rejected") if runtime in line.rejected else EMPTY, None
    against = {TEACHER: found.same} | ({} if runs_trained(runtime) else {f"{TEACHER} in torch": found.torch})
    note = ", ".join(wording.times(factor, against=name) for name, factor in against.items() if factor is not None)
    return Value(wording.milliseconds(found.latency_ms), note), -found.latency_ms


def export(line: Line, runtime: str) -> tuple[Value, float | None]:
    """The score of the exports for a runtime with its change to torch, and its merit on dev."""
    score, change, dev = line.export_score(runtime), line.export_change(runtime), line.export_dev(runtime)
    if score is None or change is None or dev is None:
        return EMPTY, None
    note = f"{line.scoring.signed(change)}, n={len(line.exports[runtime])}"
    return Value(line.scoring.score(score), note), None if line.failed else line.scoring.merit(dev)


def number(value: float | None, pattern: str) -> Value:
    """A number formatted by `pattern`, or a dash."""
    return EMPTY if value is None else Value(pattern.format(value))
