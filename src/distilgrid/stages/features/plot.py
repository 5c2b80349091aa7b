"""Scatter plot of a teacher's features of original, mixed and augmented rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distilgrid.reporting import wording
from distilgrid.reporting.collect import Points
from distilgrid.reporting.figures import INK, MARKERS, PALETTE, drawing, svg
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.section import Section

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

LONGEST = 28
SPECTRUM = "viridis"


def _plot(findings: Findings, task: str, points: Points) -> Plot:
    labels = findings.collected.datasets[task]["labels"]
    teacher = points.artefact.labels["teacher"]
    with drawing(6.0, 4.8) as (figure, (axes,)):
        markers = {kind: MARKERS[n % len(MARKERS)] for n, kind in enumerate(points.values["counts"])}
        _scatter(axes, points.frame, markers, labels)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(_axis(points, 0))
        axes.set_ylabel(_axis(points, 1))
        axes.set_title(f"teacher {teacher}")
        figure.legend(handles=_keys(markers, labels), loc="outside lower center", ncols=3, handletextpad=0.3)
        image = svg(figure, name=f"features-{task}-{teacher}", title=f"{task}: features of the teacher {teacher}")
    return Plot(image, _caption(points, regression=not labels))


def _caption(points: Points, *, regression: bool) -> str:
    counts = ", ".join(f"{number:,} {kind}" for kind, number in points.values["counts"].items())
    method = points.artefact.labels["method"]
    colour = "the label, from low (dark) to high (bright)" if regression else "the label"
    text = (
        f"The fine-tuned teacher's last state of the first token, in two dimensions: {counts}. Colour is {colour}, "
        f"shape the kind of row. Mixed samples are those of {method}, each with the label of the row it is nearer to. "
    )
    if points.values["projection"] == "tsne":
        return f"{text}t-SNE: points that are near each other are alike; longer distances mean little."
    shares = points.values["explained_variance"]
    return f"{text}PCA: the two axes hold {wording.percent(sum(shares))} of the variance."


def _axis(points: Points, number: int) -> str:
    shares = points.values["explained_variance"]
    return "" if shares is None else f"component {number + 1} ({wording.percent(shares[number])} of variance)"


def _scatter(axes: "Axes", frame: "pd.DataFrame", markers: dict[str, str], labels: Sequence[str]) -> None:
    """Points of each kind; rows of the last kinds lie on top, so all are half transparent."""
    numbers = {"cmap": SPECTRUM, "vmin": frame["label"].min(), "vmax": frame["label"].max()}
    for kind, marker in markers.items():
        part = frame[frame["kind"] == kind]
        style: dict[str, Any] = {"c": part["label"], **numbers}
        if labels:
            style = {"color": [_colour(int(n), len(labels)) for n in part["label"]]}
        axes.scatter(part["x"], part["y"], marker=marker, s=20, alpha=0.6, linewidths=0, **style)


def _colour(number: int, count: int) -> Any:
    """A colour for each label; of more labels than the palette has, neighbours look alike."""
    import matplotlib as mpl

    return PALETTE[number] if count <= len(PALETTE) else mpl.colormaps[SPECTRUM](number / (count - 1))


def _keys(markers: dict[str, str], labels: Sequence[str]) -> list["Line2D"]:
    """The legend: kinds by shape, labels by colour."""
    from matplotlib.lines import Line2D

    drawn: dict[str, Any] = {"ls": "", "markersize": 6}
    kinds = [Line2D([], [], marker=marker, color=INK, label=kind, **drawn) for kind, marker in markers.items()]
    colours = [_colour(number, len(labels)) for number in range(len(labels))]
    named = zip(labels, colours, strict=True)
    return [*kinds, *(Line2D([], [], marker="o", color=colour, label=_plain(name), **drawn) for name, colour in named)]


def _plain(name: str) -> str:
    """A label's name as matplotlib shows it: no formulas, no hidden entries, not too long."""
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\u2026"
    return f" {short}".replace("$", r"\$") if short.startswith("_") else short.replace("$", r"\$")


class FeaturesSection(Section):
    """Teachers' features in two dimensions."""

    title = "What the teacher makes of the rows"

    def applies(self, findings: Findings, task: str) -> bool:
        """For tasks with a teacher whose features were stored."""
        return bool(_stored(findings, task))

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """A plot for each teacher."""
        return [_plot(findings, task, points) for points in _stored(findings, task)]


def _stored(findings: Findings, task: str) -> list[Points]:
    return [points for points in findings.collected.features if points.artefact.labels["task"] == task]


SECTION = FeaturesSection()
