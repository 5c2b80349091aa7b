"""Sections that every grid may have: limited data, ablations, and the selection of checkpoints.

An ablation is a group of a grid's methods whose settings differ in a single number.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.plan.params import Params, effective_training
from distilgrid.plan.teachers import teacher_names
from distilgrid.reporting import budgets, display, wording
from distilgrid.reporting.collect import TrainedModel
from distilgrid.reporting.figures import (
    PALETTE,
    band_words,
    draw_band,
    draw_teacher,
    drawing,
    height,
    method_colours,
    place_ticks,
    svg,
)
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.reporting.tables import MODEL, name_groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_COLUMNS, KEY_COLUMNS = 3, 2
"""The columns of the legends of limited data and of ablations."""
FEWEST = 3
"""The fewest values of an ablation. The main table shows comparisons of two."""
WIDE = 10
"""The factor between values from which their axis is logarithmic."""
OPTIMISTIC = "optimistic_score"

Curves = dict[str, dict[float, Line]]  # lines by name, then by value


def row_counts(findings: Findings, task: str) -> dict[float, int]:
    """The number of original training rows of each fraction."""
    whole = findings.collected.datasets[task]["splits"]["train"]["rows"]
    counts = {fraction: round(fraction * whole) for fraction in findings.collected.plan.params.grid.fractions}
    for line in findings.of(task):
        if line.labels["augmentation"] == "none" and line.labels["fraction"] in counts:
            counts[line.labels["fraction"]] = line.facts["train_rows"]
    return counts


def _rows_plot(findings: Findings, task: str, teacher: str, student: str, *, several: bool) -> Plot:
    grid = findings.collected.plan.params.grid
    title = f"{student} from {teacher}" if several else student
    first = teacher_names(teacher)[0]
    own = [line for line in findings.of(task) if line.labels["teacher"] == (first if line.is_teacher else teacher)]
    entries = 1 + len(grid.methods) * len(grid.augmentations)
    with drawing(6.0, height(entries, ROW_COLUMNS)) as (figure, (axes,)):
        _draw(findings, axes, [line for line in own if line.labels["student"] == student and not line.is_teacher])
        draw_teacher(axes, {line.labels["fraction"]: line for line in own if line.is_teacher})
        # Fractions are the places, as two may round to the same number of rows.
        labels = {share: f"{rows:,}\n{100 * share:g} %" for share, rows in row_counts(findings, task).items()}
        place_ticks(axes, labels, logarithmic=True)
        axes.set_xlabel("training rows, and their share")
        axes.set_ylabel(findings.scoring(task).axis)
        axes.set_title(title)
        axes.grid()
        figure.legend(loc="outside lower center", ncols=ROW_COLUMNS)
        image = svg(figure, name=f"rows-{task}-{teacher}-{student}", title=f"{task}, {title}: score by training rows")
    rows, split = findings.collected.plan.params.teachers[first].rows, findings.main(task)[1]
    saw = "the same rows as its students" if rows == "students" else "all rows"
    text = f"Score on {split} against the number of original training rows (log scale), student {title}. "
    return Plot(image, f"{text}{band_words(findings)} Dashed: the teacher, which saw {saw}.")


def _draw(findings: Findings, axes: "Axes", lines: list[Line]) -> None:
    """Draw a line for each method (colour) and augmentation (dashes and marker)."""
    colours, augmentations = method_colours(findings), findings.collected.plan.params.grid.augmentations
    curves: dict[tuple[str, str], dict[float, Line]] = {}
    for line in lines:
        variant = line.labels["method"], line.labels["augmentation"]
        curves.setdefault(variant, {})[line.labels["fraction"]] = line
    for (method, augmentation), curve in curves.items():
        name = method if augmentation == "none" else f"{method} with {augmentation}"
        scores = {fraction: line.scores for fraction, line in curve.items()}
        style, scale = augmentations.index(augmentation), lines[0].scoring.scale
        draw_band(axes, scores, colour=colours[method], style=style, label=name, scale=scale)


class LimitedDataSection(Section):
    """Scores by the number of training rows."""

    title = "With fewer training rows"

    def applies(self, findings: Findings, task: str) -> bool:
        """Whether the grid has several fractions."""
        return len(findings.collected.plan.params.grid.fractions) > 1

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """A plot for each teacher and student."""
        students = [line.labels for line in findings.of(task) if not line.is_teacher]
        pairs = dict.fromkeys((labels["teacher"], labels["student"]) for labels in students)
        several = len({teacher for teacher, _ in pairs}) > 1
        return [_rows_plot(findings, task, teacher, student, several=several) for teacher, student in pairs]


LIMITED_DATA = LimitedDataSection()


@dataclass(frozen=True)
class Ablation:
    """One setting (dotted, as in `mixup.beta`) at several values, with the method of each, smallest value first."""

    objective: str
    setting: str
    methods: dict[float, str]


def find_ablations(params: Params) -> list[Ablation]:
    """All ablations of a grid's methods, in the order of the methods.

    A method may be part of several: the centre of a star belongs to each of its arms. Training settings count as
    merged for the method. The place where the teacher runs does not count because it changes no result.
    """
    flat = {name: _settings(params, name) for name in params.grid.methods}
    found: list[Ablation] = []
    for setting in dict.fromkeys(key for values in flat.values() for key in values):
        groups: dict[str, dict[float, str]] = {}
        for name, values in flat.items():
            value = values.get(setting)
            if isinstance(value, int | float) and not isinstance(value, bool):
                groups.setdefault(_rest(values, setting), {}).setdefault(value, name)
        for methods in (methods for methods in groups.values() if len(methods) >= FEWEST):
            objective = flat[next(iter(methods.values()))]["objective"]
            found.append(Ablation(objective, setting, dict(sorted(methods.items()))))
    return found


def _settings(params: Params, name: str) -> dict[str, Any]:
    import pandas as pd

    method = params.methods[name]
    training = effective_training(params, method.training).model_dump()
    nested = method.model_dump(exclude={"teacher", "training"}) | {"training": training}
    return {str(setting): value for setting, value in pd.json_normalize(nested).to_dict("records")[0].items()}


def _rest(values: Mapping[str, Any], setting: str) -> str:
    """All settings but one as text: equal text means equal settings."""
    return json.dumps({key: value for key, value in values.items() if key != setting}, sort_keys=True)


def _curves(findings: Findings, task: str, ablation: Ablation) -> Curves:
    """The lines of the ablation's methods by name and value. The grid has all combinations."""
    values = {method: value for value, method in ablation.methods.items()}
    curves: Curves = {}
    for line in findings.of(task):
        if line.labels["method"] in values:
            curves.setdefault(line.name, {})[values[line.labels["method"]]] = line
    return curves


class AblationSection(Section):
    """One ablation, below a heading: score against the setting's value."""

    def __init__(self, ablation: Ablation) -> None:
        self.ablation = ablation
        self.title = f"Ablation of {ablation.objective}: {ablation.setting}"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """A row for each value, a column for each student."""
        setting, methods, scoring = self.ablation.setting, self.ablation.methods, findings.scoring(task)
        columns = {Column(setting): [Value(f"{value:g}", method) for value, method in methods.items()]}
        curves = _curves(findings, task, self.ablation)
        for name, found in curves.items():
            columns[Column(name, scoring.factor)] = display.scores([found[value] for value in methods])
        caption = (
            f"{self.ablation.objective} with several values of {setting}, all else equal: {scoring.title} on split "
            f"{findings.main(task)[1]}, mean {wording.PLUS_MINUS} standard deviation over seeds; under each value its "
            f"method. {wording.MARKED}."
        )
        rows = [[found[value] for found in curves.values()] for value in methods]
        columns |= budgets.columns(findings, rows)
        shown = [line for row in rows for line in row]
        parts = (caption, display.constant_caption(shown), budgets.caption(findings, shown))
        caption = " ".join(part for part in parts if part)
        return [Table.of(f"{task}: {setting}", caption, columns)]

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """A line for each student."""
        setting, scoring = self.ablation.setting, findings.scoring(task)
        curves, values = _curves(findings, task, self.ablation), list(self.ablation.methods)
        with drawing(6.0, height(len(curves), KEY_COLUMNS)) as (figure, (axes,)):
            for number, (name, lines) in enumerate(curves.items()):
                scores = {value: line.scores for value, line in lines.items()}
                colour, style = PALETTE[number % len(PALETTE)], number // len(PALETTE)
                draw_band(axes, scores, colour=colour, label=name, scale=scoring.scale, style=style)
            wide = min(values) > 0 and max(values) >= WIDE * min(values)
            place_ticks(axes, {value: f"{value:g}" for value in values}, logarithmic=wide)
            axes.set_xlabel(setting)
            axes.set_ylabel(scoring.axis)
            axes.grid(axis="y")
            figure.legend(loc="outside lower center", ncols=KEY_COLUMNS)
            name = "-".join(["ablation", task, setting, *self.ablation.methods.values()])
            image = svg(figure, name=name, title=f"{task}: score against {setting}")
        return [Plot(image, f"Score on {findings.main(task)[1]} against {setting}. {band_words(findings)}")]


class AblationSections(Section):
    """A section for each ablation of a task."""

    def split(self, findings: Findings, task: str) -> Sequence[Section]:
        """One section for each setting with several values, if all its methods have cells of the task."""
        methods = {line.labels["method"] for line in findings.of(task)}
        found = find_ablations(findings.collected.plan.params)
        return [AblationSection(each) for each in found if methods.issuperset(each.methods.values())]


ABLATIONS = AblationSections()


def optimistic_mean(line: Line) -> float | None:
    """The mean optimistic score over the seeds that have one, or None."""
    values = _optimistic(line)
    return sum(values) / len(values) if values else None


def _selection_caption(scoring: Scoring, split: str, *, watched: bool, phases: Sequence[str]) -> str:
    parts = [f"{wording.sentence(scoring.axis)}, mean {wording.PLUS_MINUS} standard deviation."]
    if watched:
        parts.append(
            f"Optimistic: the best score on {split} over all evaluations of a run, which some public code reports as "
            "its result. It is shown for comparison only: nothing was selected by it, and no other number uses it."
        )
    if phases:
        parts.append(f"Training goes on after {' and '.join(phases)} from the checkpoint that was best on dev by then.")
    return " ".join(parts)


def _optimistic(line: Line) -> list[float]:
    return [model.metrics[OPTIMISTIC] for model in line.models if OPTIMISTIC in model.metrics]


def _earlier(model: TrainedModel, metric: str) -> list[tuple[str, float]]:
    """The phases before the last one, whose dev score is the model's, with their dev scores."""
    return [(phase["name"], phase["dev"][metric]) for phase in model.metrics.get("phases", [])[:-1]]


class SelectionSection(Section):
    """The selection of checkpoints.

    No value is marked as best, so that an optimistic score selects nothing here either.
    """

    title = "Selection of checkpoints"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """Main scores, optimistic scores and dev scores after each phase; nothing without the last two."""
        lines, (metric, split) = findings.of(task), findings.main(task)
        watched = any(_optimistic(line) for line in lines)
        phases = list(dict.fromkeys(name for line in lines for name, _ in _earlier(line.models[0], metric)))
        if not watched and not phases:
            return []
        scoring = findings.scoring(task)
        found = {Column(scoring.title, f"on {split}, checkpoint selected on dev"): [line.scores for line in lines]}
        if watched:
            title = f"best on {split} over all evaluations"
            found[Column(title, "optimistic, selected nothing")] = [_optimistic(line) for line in lines]
        for name in phases:
            found[Column(f"dev after {name}", "its best checkpoint")] = [
                [dev for model in line.models for phase, dev in _earlier(model, metric) if phase == name]
                for line in lines
            ]
        dev = [[model.metrics["dev"][metric] for model in line.models] for line in lines]
        found[Column("dev", "of the selected checkpoint")] = dev
        columns = {MODEL: [display.model(line) for line in lines]}
        for column, values in found.items():
            columns[column] = [display.of_models(line, each, scoring) for line, each in zip(lines, values, strict=True)]
        columns |= budgets.columns(findings, [[line] for line in lines])
        caption = _selection_caption(scoring, split, watched=watched, phases=phases)
        parts = (caption, display.constant_caption(lines), budgets.caption(findings, lines))
        caption = " ".join(part for part in parts if part)
        return [Table.of(f"{task}: selection of checkpoints", caption, columns, groups=name_groups(lines))]


SELECTION = SelectionSection()
