"""Lines with bands: the mean over seeds at each place, and the spread of the seeds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distilgrid.reporting.figures import INK, MARKERS
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY_SEEDS = 3
DASHES = ("-", (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (7, 2)))


def band(scores: Sequence[float]) -> tuple[float, float]:
    """One standard deviation to each side of the mean, or with few seeds the lowest and the highest score."""
    if len(scores) < MANY_SEEDS:
        return min(scores), max(scores)
    mean, deviation = statistics.fmean(scores), statistics.stdev(scores)
    return mean - deviation, mean + deviation


def band_words(findings: Findings) -> str:
    """The meaning of a grid's bands, in words."""
    seeds = len(findings.collected.plan.params.grid.seeds)
    if seeds == 1:
        return "One seed only, so there are no bands."
    if seeds < MANY_SEEDS:
        return f"Mean over {seeds} seeds; bands reach from the lowest seed to the highest."
    return f"Mean over {seeds} seeds; bands are one standard deviation to each side."


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


def draw_teacher(axes: "Axes", lines: Mapping[float, Line]) -> None:
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


def score_axis(findings: Findings, task: str) -> str:
    """The label of the y axis."""
    return findings.scoring(task).axis
