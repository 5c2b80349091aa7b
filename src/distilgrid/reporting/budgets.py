"""Training budgets of lines, as columns of tables and as ratios of a claim's sides.

A budget counts what was done: a run that stopped early counts only the steps that it did. It is a model's own. The
trainings of its teacher, of assistants and of values that tuning tried are left out.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.reporting import display, wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.table import Column, Value

OTHER_SIDE = "those of the claim's second side"
EQUAL = 0.02
"""The relative difference up to which budgets count as equal. Reads are the product of two rounded numbers."""


@dataclass(frozen=True)
class Budget:
    """The budget of a line, or the ratio of two."""

    steps: float  # optimiser steps, mean over seeds
    reads: float  # tokens without padding, or images, that went through the model in these steps; mean over seeds

    def over(self, other: "Budget") -> "Budget":
        """The ratio to another budget."""
        return Budget(self.steps / max(other.steps, 1.0), self.reads / max(other.reads, 1.0))

    def words(self, *, against: str) -> str:
        """A ratio: `6.0x kd's`, or `1.0x kd's, reads 2.3x` where the two parts differ; as `wording.times`."""
        same = alike([self.steps, self.reads])
        reads = "" if same else f", reads {wording.times(self.reads, against='')}"
        return wording.times(self.steps, against=against) + reads


EVEN = Budget(1.0, 1.0)


def alike(values: Sequence[float]) -> bool:
    """Whether values differ by no more than rounding may."""
    return max(values) <= (1 + EQUAL) * min(values)


def budget(line: Line) -> Budget:
    """The mean budget of a line's models."""
    own = (model.metrics for model in line.models)
    return mean([Budget(each["steps"], each["tokens_per_second"] * each["train_seconds"]) for each in own])


def mean(found: Sequence[Budget]) -> Budget:
    """The mean of budgets, or of ratios, part by part."""
    return Budget(statistics.fmean(each.steps for each in found), statistics.fmean(each.reads for each in found))


def is_even(found: Budget) -> bool:
    """Whether a ratio is that of equal budgets."""
    return alike([found.steps, 1.0]) and alike([found.reads, 1.0])


def to_baseline(findings: Findings, line: Line) -> Budget | None:
    """The ratio of a line's budget to its baseline's; None without a baseline."""
    baseline = findings.baseline(line)
    return None if baseline is None else budget(line).over(budget(baseline))


def ratio(pairs: Iterable[tuple[Any, Any]]) -> Budget | None:
    """The mean ratio of the first lines' budgets to the second ones', or None where they are equal.

    Teachers and searches have no budget to compare.
    """
    kept = [pair for pair in pairs if all(isinstance(line, Line) and not line.is_teacher for line in pair)]
    found = [budget(first).over(budget(second)) for first, second in kept]
    if not found:
        return None
    whole = mean(found)
    return None if is_even(whole) else whole


def differ(lines: Iterable[Line]) -> bool:
    """Whether students among the lines were trained with different budgets."""
    found = [budget(line) for line in lines if not line.is_teacher]
    return bool(found) and not (alike([b.steps for b in found]) and alike([b.reads for b in found]))


def columns(findings: Findings, rows: Sequence[Sequence[Line]]) -> dict[Column, list[Value]]:
    """The column of budgets for rows of one or more lines each; nothing when all students have the same."""
    if not differ(line for row in rows for line in row):
        return {}
    return {
        Column("steps", f"to {findings.collected.plan.params.report.baseline}'s"): [_value(findings, r) for r in rows]
    }


def _value(findings: Findings, row: Sequence[Line]) -> Value:
    """The steps with their ratio to the baseline's. Without a baseline, the number of tokens or images read."""
    if not row:
        return display.EMPTY
    own = mean([budget(line) for line in row])
    ratios = [r for line in row if (r := to_baseline(findings, line)) is not None]
    return Value(f"{own.steps:,.0f}", mean(ratios).words(against="") if ratios else f"reads {wording.count(own.reads)}")


def caption(findings: Findings, lines: Iterable[Line]) -> str:
    """The meaning of the column, or nothing where there is none."""
    if not differ(lines):
        return ""
    return (
        "Budgets differ. Steps: optimiser steps done, mean over seeds, with the ratio to the baseline of the same "
        "student and rows; reads: tokens without padding, or images, where their ratio is another one. Trainings of "
        "assistants and of tried settings are not counted."
    )
