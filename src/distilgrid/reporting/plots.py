"""Plots of a report, as SVG: score against latency, score of every seed, training curves."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.core.planned import TEACHER
from distilgrid.reporting import wording
from distilgrid.reporting.figures import INK, MARKERS, PALETTE, drawing, method_colours, svg
from distilgrid.reporting.findings import Findings, batch_words
from distilgrid.reporting.lines import Line
from distilgrid.reporting.tables import engine_and_precision
from distilgrid.runtimes.registry import is_exact

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FILLS = (0.0, 0.35, 1.0)
KEY_COLUMNS, SHORT_KEY = 3, 6
"""A legend with more than `SHORT_KEY` rows makes the figure taller."""
ONE_ROW = 3
"""The most panels in one row. More panels stand in rows of two."""


@dataclass(frozen=True)
class Plot:
    """An SVG element, its caption, and the meaning of the numbers in it."""

    svg: str
    caption: str
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScorePoint:
    """The latency of a model in a runtime, with its scores on validation and on dev."""

    line: Line
    runtime: str
    latency_ms: float
    score: float
    dev: float

    @property
    def merit(self) -> float:
        """The score on dev, negated where a smaller one is better."""
        return self.line.scoring.merit(self.dev)

    @property
    def height(self) -> float:
        """The score on the plot's scale."""
        return self.line.scoring.scale * self.score


@dataclass(frozen=True)
class Look:
    """Colour and filling of points: by method and runtime, or for many runtimes by engine and precision."""

    keys: Mapping[ScorePoint, tuple[str, str]]
    colours: Mapping[str, str]  # by the first key
    markers: Mapping[str, str]  # by the name of the student or teacher
    fills: Mapping[str, float]  # by the second key


def task_plots(findings: Findings, task: str) -> list[Plot]:
    """The plots of a task. The first one needs latencies."""
    found = points(findings, task)
    plots = [score_against_latency(findings, task, found)] if found else []
    return [*plots, score_of_seeds(findings, task), training_curves(findings, task)]


def points(findings: Findings, task: str) -> list[ScorePoint]:
    """Every measured model in every runtime, with its mean score over seeds plus the change by a quantised export.

    The change is added because an export's own score covers only the exported seeds, which may be lucky ones.
    """
    found = []
    for line in findings.of(task):
        for runtime, speed in line.speeds.items():
            exact = is_exact(runtime)
            change = 0.0 if exact else line.export_change(runtime)
            on_dev = 0.0 if exact else line.export_dev_change(runtime)
            if change is not None and on_dev is not None:
                found.append(ScorePoint(line, runtime, speed.latency_ms, line.score + change, line.dev + on_dev))
    return found


def pareto(found: list[ScorePoint]) -> list[ScorePoint]:
    """The Pareto front of latency and the score on dev, from fast to slow, of models that learned something.

    A front chooses, so that validation scores have no part in it.
    """
    front: list[ScorePoint] = []
    learned = (point for point in found if not point.line.failed)
    for point in sorted(learned, key=lambda p: (p.latency_ms, -p.merit)):
        if not front or point.merit > front[-1].merit:
            front.append(point)
    return front


def score_against_latency(findings: Findings, task: str, found: list[ScorePoint]) -> Plot:
    """All models in all runtimes, with the Pareto front. Colour is the method, shape the model, filling the runtime."""
    front, look = pareto(found), _look(findings, found)
    keys = _keys(look)
    with drawing(6.0, 4.2 + 0.2 * max(0, len(keys) // KEY_COLUMNS - SHORT_KEY)) as (figure, (axes,)):
        _scatter(axes, found, look)
        axes.plot([p.latency_ms for p in front], [p.height for p in front], color=INK, alpha=0.55, lw=1, zorder=1)
        _latency_axis(axes)
        axes.set_xlabel(f"latency in ms ({batch_words(findings, task)})")
        axes.set_ylabel(findings.scoring(task).axis)
        axes.grid()
        axes.margins(x=0.08, y=0.1)
        _number(axes, front)
        figure.legend(handles=keys, loc="outside lower center", ncols=KEY_COLUMNS, handletextpad=0.4)
        image = svg(figure, name=f"latency-{task}", title=f"{task}: score against latency")
    text = (
        f"Score on {findings.main(task)[1]} against latency. Numbered and joined: the Pareto front by dev. On dev no "
        "other model beats these in both score and latency; the scores shown choose nothing. Quantised models: the "
        "mean score plus what quantisation changed in the exported seeds."
    )
    return Plot(image, text, tuple(_described(point) for point in front))


def _described(point: ScorePoint) -> str:
    name = f"{point.line.labels['method']} {point.line.name}, {point.runtime}"
    return f"{name}: {point.line.scoring.score(point.score)} at {wording.milliseconds(point.latency_ms)} ms"


def _scatter(axes: "Axes", found: list[ScorePoint], look: Look) -> None:
    for point in found:
        hue, tone = look.keys[point]
        axes.scatter(
            point.latency_ms,
            point.height,
            s=110 if point.line.is_teacher else 46,
            marker=look.markers[point.line.name],
            facecolors=[(look.colours[hue], look.fills[tone])],
            edgecolors=look.colours[hue],
            linewidths=1.3,
            zorder=3,
        )


def _look(findings: Findings, found: list[ScorePoint]) -> Look:
    runtimes = list(dict.fromkeys(point.runtime for point in found))
    students = dict.fromkeys(point.line.name for point in found if not point.line.is_teacher)
    markers = {point.line.name: "*" for point in found} | {
        name: MARKERS[n % len(MARKERS)] for n, name in enumerate(students)
    }
    if len(runtimes) <= len(FILLS):
        keys = {point: (str(point.line.labels["method"]), point.runtime) for point in found}
        return Look(keys, {**method_colours(findings), TEACHER: INK}, markers, _spread(runtimes))
    keys = {point: engine_and_precision(point.runtime) for point in found}
    engines = dict.fromkeys(engine for engine, _ in keys.values())
    colours = {engine: PALETTE[n % len(PALETTE)] for n, engine in enumerate(engines)}
    return Look(keys, colours, markers, _spread(sorted({precision for _, precision in keys.values()})))


def _spread(names: Sequence[str]) -> dict[str, float]:
    """Fillings from hollow to full."""
    if len(names) <= len(FILLS):
        return dict(zip(names, FILLS, strict=False))
    return {name: n / (len(names) - 1) for n, name in enumerate(names)}


def _keys(look: Look) -> list["Line2D"]:
    """The legend, with a column each for colours, shapes and fillings."""
    used = {hue for hue, _ in look.keys.values()} - {TEACHER}
    columns = [
        [_key(name, "o", colour, 1.0) for name, colour in look.colours.items() if name in used],
        [_key(name, marker, INK, 0.0) for name, marker in look.markers.items()],
        [_key(name, "o", INK, fill) for name, fill in look.fills.items()],
    ]
    longest = max(len(column) for column in columns)
    return [entry for column in columns for entry in column + [_key("", "", INK, 0.0)] * (longest - len(column))]


def _key(label: str, marker: str, colour: str, fill: float) -> "Line2D":
    from matplotlib.lines import Line2D

    size, face = 10 if marker == "*" else 7, (colour, fill)
    return Line2D([], [], ls="", marker=marker, label=label, markersize=size, mfc=face, mec=colour)


def _latency_axis(axes: "Axes") -> None:
    """Put ticks at 1, 2, 5, 10, ..., written as plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _number(axes: "Axes", front: list[ScorePoint]) -> None:
    """Number the front's points above and to the left, where few other points lie."""
    for number, point in enumerate(front, start=1):
        where = (point.latency_ms, point.height)
        style: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "bottom", "fontweight": "bold"}
        axes.annotate(str(number), where, (-5, 4), **style)


def score_of_seeds(findings: Findings, task: str) -> Plot:
    """Every seed as a dot, the mean as a bar, and the teacher as a line."""
    lines = [line for line in findings.of(task) if not line.is_teacher]
    split, scale, colours = findings.main(task)[1], findings.scoring(task).scale, method_colours(findings)
    with drawing(6.0, 1.1 + 0.36 * len(lines) + 0.25 * len({line.name for line in lines})) as (figure, (axes,)):
        gaps = np.cumsum([0] + [line.name != before.name for before, line in itertools.pairwise(lines)])
        places = [float(n + 0.7 * gap) for n, gap in enumerate(gaps)]  # students stand apart
        for line, y in zip(lines, places, strict=True):
            colour = colours[line.labels["method"]]
            scores = [scale * score for score in line.scores]
            axes.plot(scores, [y] * len(scores), "o", color=colour, alpha=0.75, markersize=7, markeredgewidth=0)
            axes.plot([scale * line.score] * 2, [y - 0.3, y + 0.3], color=colour, lw=2.2)
        for number, teacher in enumerate(line for line in findings.of(task) if line.is_teacher):
            axes.axvline(scale * teacher.score, color=INK, lw=1, ls=(0, (4, 3)))
            place, said = (scale * teacher.score, 1.01 + 0.06 * number), f"teacher {teacher.name}"
            axes.text(*place, said, ha="center", size=9, transform=axes.get_xaxis_transform())
        names = [f"{line.labels['method']}  {wording.DOT}  {line.name}" for line in lines]
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlabel(findings.scoring(task).axis)
        image = svg(figure, name=f"seeds-{task}", title=f"{task}: score of every seed")
    return Plot(image, f"Score on {split}: a dot for each seed, a bar for their mean, the teacher as a dashed line.")


def training_curves(findings: Findings, task: str) -> Plot:
    """The dev score by epoch, as the mean over seeds and faint single seeds, with a panel for each student."""
    from matplotlib.ticker import MaxNLocator

    lines = [line for line in findings.of(task) if not line.is_teacher]
    names = list(dict.fromkeys(line.name for line in lines))
    metric = findings.main(task)[0]
    columns = len(names) if len(names) <= ONE_ROW else 2
    height = 3.2 if len(names) <= ONE_ROW else 0.7 + 2.2 * -(-len(names) // columns)
    with drawing(6.0, height, panels=len(names), columns=columns) as (figure, panels):
        for name, axes in zip(names, panels, strict=True):
            for line in (line for line in lines if line.name == name):
                _curve(axes, line, metric, method_colours(findings)[line.labels["method"]])
            axes.set_title(name)
            axes.set_xlabel("epoch")
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(axis="y")
        for axes in panels[::columns]:
            axes.set_ylabel(f"dev {findings.scoring(task).axis}")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        image = svg(figure, name=f"curves-{task}", title=f"{task}: training curves")
    return Plot(image, "Score on dev, which selects the checkpoint: mean over seeds, the seeds faint.")


def _curve(axes: "Axes", line: Line, metric: str, colour: str) -> None:
    import pandas as pd

    scale = line.scoring.scale
    curves = [model.dev(metric).set_index("epoch")["value"] for model in line.models]
    for curve in curves:
        axes.plot(curve.index, scale * curve, color=colour, alpha=0.25, lw=1)
    mean = pd.concat(curves, axis=1).mean(axis=1)
    axes.plot(mean.index, scale * mean, color=colour, lw=2, marker="o", markersize=3.5, label=line.labels["method"])
