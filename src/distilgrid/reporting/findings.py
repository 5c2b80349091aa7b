"""Findings of a report: its lines, and the difference of each one to its baseline, with an interval."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.reporting import wording
from distilgrid.reporting.collect import Collected, TrainedModel
from distilgrid.reporting.contrasts import seed_blocks
from distilgrid.reporting.intervals import (
    EXACT,
    FEWEST_SEEDS,
    bounds,
    estimate,
    holm,
    p_value,
    resampled_scores,
    samples_needed,
)
from distilgrid.reporting.learned import constant_models, taught_by
from distilgrid.reporting.lines import Key, Line, first_teacher, make_lines, shape
from distilgrid.reporting.noted import teacher_notes
from distilgrid.reporting.scoring import Scoring

Verdict = Literal["better", "worse", "unclear"]


@dataclass(frozen=True)
class Difference:
    """A line's mean score less its baseline's."""

    value: float  # the unscaled difference
    low: float | None  # lower bound of the confidence interval over seeds and rows; None with one seed
    high: float | None  # upper bound of the confidence interval; None with one seed
    p: float | None = None  # two-sided p-value of no difference; None with one seed
    adjusted: float | None = None  # p corrected for all comparisons of the report
    sign: int = 1  # 1 where a higher score is better, else -1
    seeds: int = FEWEST_SEEDS  # the smallest number of seeds of both lines

    @property
    def verdict(self) -> Verdict:
        """The side of zero that the interval lies on; `unclear` when it includes zero or is not known."""
        if self.low is None or self.high is None:
            return "unclear"
        low, high = sorted((self.sign * self.low, self.sign * self.high))
        if low > EXACT:
            return "better"
        return "worse" if high < -EXACT else "unclear"


@dataclass(frozen=True)
class Findings:
    """The input of tables, plots and pages."""

    collected: Collected
    lines: list[Line]
    differences: dict[Key, Difference]

    @property
    def tasks(self) -> list[str]:
        """The tasks in the grid's order."""
        return self.collected.plan.params.grid.tasks

    def of(self, task: str) -> list[Line]:
        """The lines of a task, teachers included."""
        return [line for line in self.lines if line.labels["task"] == task]

    def is_sure(self, line: Line) -> bool:
        """Whether a line's difference stays clear after the correction for all comparisons.

        Fewer than FEWEST_SEEDS seeds are never enough.
        """
        found = self.differences.get(line.key)
        if found is None or found.adjusted is None or found.seeds < FEWEST_SEEDS:
            return False
        return found.adjusted <= 1 - self.collected.plan.params.report.confidence

    def seeds(self, task: str | None = None) -> tuple[int, int]:
        """The fewest and the most seeds of the students of a task, or of all tasks."""
        students = [line for line in self.lines if not line.is_teacher and task in (None, line.labels["task"])]
        counts = [len(line.models) for line in students] or [len(self.collected.plan.params.grid.seeds)]
        return min(counts), max(counts)

    def main(self, task: str) -> tuple[str, str]:
        """The main metric of a task, and the split that it is computed on."""
        facts = self.of(task)[0].facts
        return facts["score_name"], facts["split"]

    def scoring(self, task: str) -> Scoring:
        """The notation of a task's main score."""
        return self.of(task)[0].scoring

    def teacher(self, line: Line) -> Line:
        """The first teacher of a line, trained on the same share of the rows, else on the largest share."""
        lines = self.of(line.labels["task"])
        own = [t for t in lines if t.is_teacher and t.labels["teacher"] == first_teacher(line.key)]
        fraction = line.labels["fraction"]
        return max(own, key=lambda t: (t.labels["fraction"] == fraction, t.labels["fraction"]))

    def baseline(self, line: Line) -> Line | None:
        """The line that a student's is compared with: itself for a baseline; None for a teacher, or where it lacks."""
        method, wanted = self.collected.plan.params.report.baseline, _without_method(line)
        own = (other for other in self.of(line.labels["task"]) if other.labels["method"] == method)
        return next((other for other in own if _without_method(other) == wanted), None)

    @cached_property
    def _constant(self) -> frozenset[str]:
        return constant_models(self.collected)

    def failure(self, line: Line) -> str:
        """Why nothing can be concluded from a line's scores, in a word or two; empty where it can.

        A model that answers the same for every row learned nothing, and taught nothing.
        """
        if line.failed:
            return wording.CONSTANT
        sources = (each.folder for model in line.models for each in taught_by(model.artefact))
        misled = bool(self._constant) and not self._constant.isdisjoint(sources)
        return f"{wording.CONSTANT} teacher" if misled else ""

    def left_out(self, line: Line) -> str:
        """Why a line is not compared with its baseline; empty where it is, and where it has none."""
        baseline = self.baseline(line)
        if baseline is None or baseline is line:
            return ""
        return self.failure(line) or (self.failure(baseline) and f"{wording.CONSTANT} baseline")

    def notes(self, line: Line) -> dict[str, str]:
        """Notes of the parameters on a line's teachers, by name."""
        return teacher_notes(self.collected.plan.params, [line.labels["teacher"]])


def batch_words(findings: Findings, task: str) -> str:
    """The input shape of a task's shown latencies, in words."""
    batch, length = shape(findings.collected, task)
    if findings.collected.reads_images(task):
        return f"batch of {wording.plural(batch, findings.collected.task_kind(task).words.row)}"
    return f"batch of {batch}, {length} tokens"


def find(collected: Collected) -> Findings:
    """Compare the lines of a finished grid with their baselines."""
    differences: dict[Key, Difference] = {}
    known = Findings(collected, make_lines(collected), differences)
    pairs = {task: _pairs(task, known) for task in known.tasks}
    samples = samples_for(sum(map(len, pairs.values())), collected)
    for task, compared in pairs.items():
        differences |= _differences(task, compared, collected, samples)
    adjusted = holm({key: difference.p for key, difference in differences.items() if difference.p is not None})
    differences = {key: replace(found, adjusted=adjusted.get(key)) for key, found in differences.items()}
    return replace(known, differences=differences)


def samples_for(comparisons: int, collected: Collected) -> int:
    """The number of resamples for a family of comparisons: `report.bootstrap_samples`, or more if they need more."""
    settings = collected.plan.params.report
    return samples_needed(comparisons, settings.confidence, least=settings.bootstrap_samples)


def _pairs(task: str, findings: Findings) -> list[tuple[Line, Line]]:
    """Each student of a task with the baseline of the same student, where both learned something."""
    found = [(line, findings.baseline(line)) for line in findings.of(task)]
    pairs = [(line, other) for line, other in found if other is not None and line is not other]
    return [(line, other) for line, other in pairs if not findings.left_out(line)]


def _differences(
    task: str, pairs: list[tuple[Line, Line]], collected: Collected, samples: int
) -> dict[Key, Difference]:
    """The difference of each line to its baseline, paired by seed."""
    settings = collected.plan.params.report
    if not pairs:
        return {}
    involved = dict.fromkeys(line for pair in pairs for line in pair)
    scores = score_resamples(task, [model for line in involved for model in line.models], collected, samples)
    rows = collected.datasets[task]["splits"][pairs[0][0].facts["split"]]["rows"]
    found = {}
    for line, baseline in pairs:
        blocks = seed_blocks({line: 1.0, baseline: -1.0}, lambda each: each.scores, scores)
        estimated = estimate(blocks, rows=rows)
        low, high = bounds(estimated, settings.confidence) or (None, None)
        seeds = min(len(line.models), len(baseline.models))
        sign = line.scoring.sign
        found[line.key] = Difference(estimated.effect, low, high, p=p_value(estimated), sign=sign, seeds=seeds)
    return found


def _without_method(line: Line) -> Key:
    return tuple(value for axis, value in line.labels.items() if axis != "method")


def score_resamples(
    task: str, models: Iterable[TrainedModel], collected: Collected, samples: int
) -> dict[str, np.ndarray]:
    """The main score of each model on each resample of the main validation split, by folder: (S,).

    Raises:
        UserError: when models of a task were scored on different rows.
    """
    found = {model.artefact.folder: model for model in models}
    first, *_ = found.values()
    metric, split = first.metrics["score_name"], first.metrics["split"]
    frames = [model.predictions[model.predictions["split"] == split] for model in found.values()]
    for folder, frame in zip(found, frames, strict=True):
        if not np.array_equal(frame["example_id"], frames[0]["example_id"]):
            raise UserError(
                f"{folder}: predictions on '{split}' are of other rows than those of {first.artefact.folder}; remove "
                "both and run their stages again"
            )
    judge = collected.task_kind(task).predict()
    scores = resampled_scores(
        metric,
        labels=frames[0]["label"].to_numpy(),
        predicted=np.stack([judge.decode(judge.stored(frame)) for frame in frames], axis=1),
        samples=samples,
        seed=derive_seed(0, f"bootstrap/{task}/{split}"),
    )
    return dict(zip(found, scores.T, strict=True))
