"""Report section on annealed training: dev scores by epoch, above the temperature."""

import itertools
from typing import TYPE_CHECKING, Any

from distilgrid.reporting.figures import DASHES, INK, band_words, draw_band, drawing, method_colours, svg
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.section import Section

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

REFERENCES = ("finetune", "kd")
"""Objectives to compare with: the first method of the grid with each."""
QUANTITIES = {"temperature": "T", "phi": "\u03c6"}
KEY_COLUMNS = 3


def _plot(findings: Findings, task: str, name: str) -> Plot:
    own = [line for line in findings.of(task) if line.name == name and not line.is_teacher]
    annealed = [line for line in own if _recorded(line)]
    metric, colours, references = findings.main(task)[0], method_colours(findings), _references(findings, own)
    rows = -(-(len(references) + len(annealed)) // KEY_COLUMNS)
    with drawing(6.0, 4.2 + 0.2 * rows, shares=(3, 1)) as (figure, (above, below)):
        for line, style in [*((line, 0) for line in references), *((line, n) for n, line in enumerate(annealed))]:
            drawn: dict[str, Any] = {"colour": colours[line.labels["method"]], "label": line.labels["method"]}
            scores = dev_scores(line, metric)
            draw_band(above, scores, scale=line.scoring.scale, style=style, markers=False, **drawn)
        for number, line in enumerate(annealed):
            values, dashes = _schedule(line), DASHES[number % len(DASHES)]
            held: dict[str, Any] = {"where": "pre", "lw": 1.8, "ls": dashes, "color": colours[line.labels["method"]]}
            below.step([0.0, *values.index], [values.iloc[0], *values], **held)  # a record holds from the one before
        ends = _stage_ends(annealed)
        for axes, end in itertools.product((above, below), ends):
            axes.axvline(end, color=INK, lw=1, ls=(0, (1, 2)), alpha=0.7)
        _label(above, below, score=findings.scoring(task).axis, quantity=_recorded(annealed[0]))
        above.set_title(name)
        figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=KEY_COLUMNS)
        image = svg(figure, name=f"annealing-{task}-{name}", title=f"{task}, {name}: dev score and temperature")
    return Plot(image, _caption(findings, annealed, stages=bool(ends)))


def _caption(findings: Findings, annealed: list[Line], *, stages: bool) -> str:
    named = ", ".join(dict.fromkeys(str(line.labels["method"]) for line in annealed))
    said = {
        "temperature": f"the temperature T of {named}: as it falls, the teacher's logits are taught from soft to sharp",
        "phi": f"the share of the teacher's logits that {named} is taught",
    }[_recorded(annealed[0])]
    text = f"Above: score on dev, which selects the checkpoint. {band_words(findings)} Below: {said}."
    return f"{text} Dotted: where the annealed stage ends." if stages else text


def _recorded(line: Line) -> str:
    """Quantity in a line's history: `temperature`, else `phi`; empty for other methods."""
    history = line.models[0].history
    names = set(history["name"][history["split"] == "train"])
    return next((quantity for quantity in QUANTITIES if quantity in names), "")


def _references(findings: Findings, lines: list[Line]) -> list[Line]:
    params, found = findings.collected.plan.params, dict[str, Line]()
    for line in lines:
        found.setdefault(params.methods[line.labels["method"]].objective, line)
    return [found[objective] for objective in REFERENCES if objective in found]


def dev_scores(line: Line, metric: str) -> dict[float, list[float]]:
    """Dev scores of all seeds by epoch, up to the first end: patience may stop a seed early."""
    import pandas as pd

    curves = []
    for model in line.models:
        curve = model.dev(metric).set_index("epoch")["value"]
        # Where batches are filled by tokens, the evaluations of seeds are up to a step apart.
        curves.append(curve.groupby(curve.index.to_series().round(2)).last())
    frame = pd.concat(curves, axis=1).dropna()
    return {float(epoch): values for epoch, values in zip(frame.index, frame.to_numpy().tolist(), strict=True)}


def _schedule(line: Line) -> "pd.Series[float]":
    """Recorded temperatures by epoch, of the first seed: all seeds have the same."""
    history = line.models[0].history
    kept = history[(history["split"] == "train") & (history["name"] == _recorded(line))]
    return kept.set_index("epoch")["value"]


def _stage_ends(annealed: list[Line]) -> list[float]:
    """The epochs where runs continue without a temperature."""
    ends = {line: float(_schedule(line).index[-1]) for line in annealed}
    return sorted({end for line, end in ends.items() if end < line.models[0].history["epoch"].max()})


def _label(above: "Axes", below: "Axes", *, score: str, quantity: str) -> None:
    from matplotlib.ticker import MaxNLocator

    above.set_ylabel(f"dev {score}")
    below.set_ylabel(QUANTITIES[quantity])
    below.margins(y=0.12)
    below.set_ylim(bottom=0)
    below.yaxis.set_major_locator(MaxNLocator(3, integer=quantity == "temperature"))
    below.set_xlim(left=0)
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        axes.grid(axis="y")


class AnnealingSection(Section):
    """Dev scores above the schedules of annealed methods."""

    title = "Annealed training"
    before = "distilgrid.reporting.sections:SELECTION"

    def applies(self, findings: Findings, task: str) -> bool:
        """Whether a student of the task recorded a schedule."""
        return any(_recorded(line) for line in findings.of(task))

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """A plot for each student with a schedule."""
        names = dict.fromkeys(line.name for line in findings.of(task) if _recorded(line))
        return [_plot(findings, task, name) for name in names]


SECTION = AnnealingSection()
