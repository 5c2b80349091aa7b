"""Matplotlib figures as SVG text with the page's font and colours. Needs no display and changes no global state.

Lines have bands: the mean over seeds at each place, and the spread of the seeds.
"""

import contextlib
import io
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distilgrid.reporting import wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from distilgrid.reporting.findings import Findings
    from distilgrid.reporting.lines import Line

INK = "#010203"  # replaced by the page's text colour
BASELINE = "#8a8f98"
# Okabe & Ito (2008): distinct with any kind of colour vision. Yellow is left out because it is too pale for lines.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (7, 2)))
MANY_SEEDS = 3
"""The fewest seeds whose band is a standard deviation."""
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 10,
    "grid.alpha": 0.14,
    "grid.color": INK,
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def method_colours(findings: "Findings") -> dict[str, str]:
    """One colour for each method, the same in every plot. The baseline is grey."""
    params = findings.collected.plan.params
    baseline = params.report.baseline
    others = [method for method in params.grid.methods if method != baseline]
    return {baseline: BASELINE, **{method: PALETTE[n % len(PALETTE)] for n, method in enumerate(others)}}


@contextlib.contextmanager
def drawing(
    width: float, height: float, panels: int = 1, *, columns: int | None = None, shares: Sequence[float] = ()
) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure of `width` x `height` inches.

    Its panels share the y axis and stand in one row, or in `columns`. With `shares` of the height, they share the x
    axis and stand below each other.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels, wide = (len(shares), 1) if shares else (panels, columns or panels)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        shared: dict[str, Any] = {"sharex": True, "height_ratios": shares} if shares else {"sharey": True}
        axes = figure.subplots(-(-panels // wide), wide, squeeze=False, **shared).ravel().tolist()
        for unused in axes[panels:]:
            unused.remove()
        yield figure, axes[:panels]


def svg(figure: "Figure", *, name: str, title: str) -> str:
    """An `<svg>` element for a page. `name` makes its ids unique, `title` is its label."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = re.sub(r"<(metadata|style).*?</\1>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"; font-family: [^;\"]*", "", text)
    text = text.replace(INK, "currentColor")
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{title}" ', text, count=1)


def band(scores: Sequence[float]) -> tuple[float, float]:
    """One standard deviation to each side of the mean, or with few seeds the lowest and the highest score."""
    if len(scores) < MANY_SEEDS:
        return min(scores), max(scores)
    mean, deviation = statistics.fmean(scores), statistics.stdev(scores)
    return mean - deviation, mean + deviation


def band_words(findings: "Findings") -> str:
    """The meaning of a grid's bands, in words."""
    fewest, most = findings.seeds()
    if most == 1:
        return "One seed only, so there are no bands."
    mean = f"Mean over {wording.seeds(fewest, most)}"
    if fewest < MANY_SEEDS:
        return f"{mean}; bands reach from the lowest seed to the highest."
    return f"{mean}; bands are one standard deviation to each side."


def draw_band(
    axes: "Axes",
    scores: Mapping[float, Sequence[float]],
    *,
    colour: str,
    label: str,
    scale: float,
    style: int = 0,
    markers: bool = True,
) -> None:
    """Draw the scores of all seeds by their place on the x axis. `style` is the number of the dashes and markers."""
    places = sorted(scores)
    bands = [band(scores[place]) for place in places]
    if any(high > low for low, high in bands):
        lows, highs = ([scale * bound[side] for bound in bands] for side in (0, 1))
        axes.fill_between(places, lows, highs, color=colour, alpha=0.16, lw=0)
    means = [scale * statistics.fmean(scores[place]) for place in places]
    marker = MARKERS[style % len(MARKERS)] if markers else ""
    drawn: dict[str, Any] = {"ls": DASHES[style % len(DASHES)], "marker": marker}
    axes.plot(places, means, color=colour, lw=1.8, markersize=5, label=label, **drawn)


def draw_teacher(axes: "Axes", lines: Mapping[float, "Line"]) -> None:
    """Draw a teacher's score dashed: across the plot for a single line, else by its place on the x axis."""
    places = sorted(lines)
    heights = [lines[place].scoring.scale * lines[place].score for place in places]
    label = f"teacher {lines[places[0]].labels['teacher']}"
    style: dict[str, Any] = {"color": INK, "lw": 1.1, "ls": (0, (4, 3)), "label": label}
    if len(lines) == 1:
        axes.axhline(heights[0], **style)
    else:
        axes.plot(places, heights, **style)


def height(entries: int, columns: int) -> float:
    """The height of a plot in inches, with room for the legend."""
    return 3.1 + 0.2 * -(-entries // columns)


def place_ticks(axes: "Axes", labels: Mapping[float, str], *, logarithmic: bool) -> None:
    """Put a labelled tick at each place of the x axis."""
    if logarithmic:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(list(labels), list(labels.values()))
