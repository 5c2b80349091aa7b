"""Ablations within a grid, methods whose settings differ in a single number: score against its value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distilgrid.plan.params import Params, effective_training
from distilgrid.reporting import display, wording
from distilgrid.reporting.figures import PALETTE, band_words, draw_band, drawing, height, place_ticks, svg
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value

FEWEST = 3
"""The fewest values of an ablation. The main table shows comparisons of two."""
KEY_COLUMNS = 2
WIDE = 10
"""The factor between values from which their axis is logarithmic."""

Curves = dict[str, dict[float, Line]]  # lines by name, then by value


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
    return dict(pd.json_normalize(nested).to_dict("records")[0])


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
        for name, found in _curves(findings, task, self.ablation).items():
            columns[Column(name, scoring.factor)] = display.scores([found[value] for value in methods])
        caption = (
            f"{self.ablation.objective} with several values of {setting}, all else equal: {scoring.title} on split "
            f"{findings.main(task)[1]}, mean {wording.PLUS_MINUS} standard deviation over seeds; under each value its "
            "method."
        )
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


SECTION = AblationSections()
