"""Plots of architecture searches: rewards over trials, trials against latency, and the best shapes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.reporting import wording
from distilgrid.reporting.collect import Searched
from distilgrid.reporting.figures import INK, MANY_SEEDS, PALETTE, draw_band, drawing, svg
from distilgrid.reporting.plots import Plot
from distilgrid.search.architecture import LayeredShape, read_architecture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEY_COLUMNS = 3


def rewards_plot(task: str, found: Mapping[str, list[Searched]]) -> Plot:
    """Best reward by the number of trials."""
    with drawing(6.0, 3.4 + 0.2 * -(-len(found) // KEY_COLUMNS)) as (figure, (axes,)):
        for number, (name, runs) in enumerate(found.items()):
            shortest = min(len(run.frame) for run in runs)
            curves = np.stack([run.frame["best_reward"][:shortest] for run in runs], axis=1)  # (trials, seeds)
            scores: dict[float, Any] = dict(enumerate(curves.tolist(), start=1))
            look: dict[str, Any] = {"colour": PALETTE[number % len(PALETTE)], "style": number // len(PALETTE)}
            draw_band(axes, scores, label=name, scale=1.0, markers=False, **look)
        axes.set_xlabel("trials")
        axes.set_ylabel("best reward so far")
        axes.grid()
        figure.legend(loc="outside lower center", ncols=KEY_COLUMNS)
        image = svg(figure, name=f"rewards-{task}", title=f"{task}: best reward by trials")
    seeds = max(len(runs) for runs in found.values())
    bands = "one standard deviation to each side" if seeds >= MANY_SEEDS else "from the lowest seed to the highest"
    within = " within the latency limit" if any(limit_of(runs) for runs in found.values()) else ""
    text = f"The best reward so far{within} against the number of trials: mean over seeds, bands {bands}."
    return Plot(image, text)


def limit_of(runs: Sequence[Searched]) -> float | None:
    """Latency limit of a search in ms, if it has one."""
    limit: float | None = runs[0].values["limit_ms"]
    return limit


def front_plot(task: str, found: Mapping[str, list[Searched]]) -> Plot:
    """All trials by latency and quality."""
    import pandas as pd

    quality = next(iter(found.values()))[0].values["quality"]
    with drawing(6.0, 4.0 + 0.2 * -(-len(found) // KEY_COLUMNS)) as (figure, (axes,)):
        frames = {name: pd.concat([run.frame for run in runs]) for name, runs in found.items()}
        for number, (name, frame) in enumerate(frames.items()):
            colour = PALETTE[number % len(PALETTE)]
            axes.scatter(frame["latency_ms"], frame["quality"], s=14, color=colour, alpha=0.55, lw=0, label=name)
        ordered = pd.concat(frames.values()).sort_values(["latency_ms", "quality"], ascending=[True, False])
        best = ordered["quality"].cummax()
        front = ordered[(ordered["quality"] == best) & ~best.duplicated()]  # no trial beats these in both
        axes.plot(front["latency_ms"], front["quality"], color=INK, alpha=0.55, lw=1, zorder=1)
        limits = sorted({limit for runs in found.values() if (limit := limit_of(runs)) is not None})
        for limit in limits:
            axes.axvline(limit, color=INK, alpha=0.55, lw=1, ls=(0, (4, 3)))
        axes.set_xscale("log")
        axes.set_xlabel("latency of the candidate in ms")
        axes.set_ylabel(quality)
        axes.grid()
        figure.legend(loc="outside lower center", ncols=KEY_COLUMNS)
        image = svg(figure, name=f"trials-{task}", title=f"{task}: all trials, quality against latency")
    dashed = f"; dashed: latency limit{'s' if len(limits) > 1 else ''}" if limits else ""
    text = f"Every trial of every search: {quality}, as estimated, against latency; line: Pareto front{dashed}."
    return Plot(image, text)


def shapes_plot(task: str, found: Mapping[str, list[Searched]]) -> Plot:
    """Best architecture of each search's first seed, a bar for each layer."""
    best = {name: runs[0].best[0] for name, runs in found.items()}
    encoders = {name: read_architecture(one["architecture"]).encoder for name, one in best.items()}
    with drawing(min(8.0, 1.6 * len(best) + 1.0), 3.2, panels=len(best)) as (figure, panels):
        widest = max(width for one in encoders.values() for width in (*one.hidden, *one.feed_forward))
        for axes, (name, one) in zip(panels, best.items(), strict=True):
            _stack(axes, encoders[name], widest)
            axes.set_title(f"{name}\n{wording.milliseconds(one['latency_ms'])} ms", fontsize=8)
        panels[0].set_ylabel("layer")
        image = svg(figure, name=f"shapes-{task}", title=f"{task}: architectures that were found")
    text = (
        "The best architecture of each search (first seed), from the first layer at the bottom: dark the hidden width, "
    )
    return Plot(image, text + "light the feed-forward width.")


def _stack(axes: "Axes", encoder: LayeredShape, widest: int) -> None:
    for number, (hidden, feed_forward) in enumerate(zip(encoder.hidden, encoder.feed_forward, strict=True), start=1):
        for width, alpha, height in ((feed_forward, 0.3, 0.8), (hidden, 1.0, 0.4)):
            axes.barh(number, width, left=-width / 2, height=height, color=PALETTE[0], alpha=alpha, lw=0)
    axes.set_xlim(-widest / 2, widest / 2)
    axes.set_xticks([])
    axes.set_yticks(range(1, len(encoder.hidden) + 1))
