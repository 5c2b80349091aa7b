"""Plots of architecture searches: rewards over trials, trials against latency, and the best shapes."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.reporting import wording
from distilgrid.reporting.collect import Searched
from distilgrid.reporting.figures import DASHES, INK, MANY_SEEDS, PALETTE, band, drawing, svg
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.searches import searched

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

KEY_COLUMNS = 3


def searches_plots(findings: Findings, task: str) -> list[Plot]:
    """Plots of a task's searches."""
    found = searched(findings, task)
    if not found:
        return []
    return [_rewards(task, found), _front(task, found), _shapes(task, found)]


def pareto_rows(frame: "pd.DataFrame", quality: str) -> "pd.DataFrame":
    """Trials that no other beats in both latency and quality, from fast to slow."""
    ordered = frame.sort_values(["latency_ms", quality], ascending=[True, False])
    best = ordered[quality].cummax()
    return ordered[(ordered[quality] == best) & ~best.duplicated()]


def _rewards(task: str, found: Mapping[str, list[Searched]]) -> Plot:
    """Best reward by the number of trials."""
    with drawing(6.0, 3.4 + 0.2 * -(-len(found) // KEY_COLUMNS)) as (figure, (axes,)):
        for number, (name, runs) in enumerate(found.items()):
            _curve(axes, [run.frame["best_reward"].to_numpy() for run in runs], name=name, style=number)
        axes.set_xlabel("trials")
        axes.set_ylabel("best reward so far")
        axes.grid()
        figure.legend(loc="outside lower center", ncols=KEY_COLUMNS)
        image = svg(figure, name=f"rewards-{task}", title=f"{task}: best reward by trials")
    seeds = max(len(runs) for runs in found.values())
    bands = "one standard deviation to each side" if seeds >= MANY_SEEDS else "from the lowest seed to the highest"
    return Plot(image, f"The best reward so far against the number of trials: mean over seeds, bands {bands}.")


def _curve(axes: "Axes", rewards: Sequence[np.ndarray], *, name: str, style: int) -> None:
    shortest = min(map(len, rewards))
    together = np.stack([values[:shortest] for values in rewards])  # (seeds, trials)
    places = np.arange(1, shortest + 1)
    colour = PALETTE[style % len(PALETTE)]
    if len(rewards) > 1:
        low, high = np.array([band(column.tolist()) for column in together.T]).T
        axes.fill_between(places, low, high, color=colour, alpha=0.16, lw=0)
    axes.plot(
        places, together.mean(0), color=colour, lw=1.8, ls=DASHES[style // len(PALETTE) % len(DASHES)], label=name
    )


def _front(task: str, found: Mapping[str, list[Searched]]) -> Plot:
    """All trials by latency and quality."""
    import pandas as pd

    quality = next(iter(found.values()))[0].values["quality"]
    with drawing(6.0, 4.0 + 0.2 * -(-len(found) // KEY_COLUMNS)) as (figure, (axes,)):
        frames = {name: pd.concat([run.frame for run in runs]) for name, runs in found.items()}
        for number, (name, frame) in enumerate(frames.items()):
            colour = PALETTE[number % len(PALETTE)]
            axes.scatter(frame["latency_ms"], frame["quality"], s=14, color=colour, alpha=0.55, lw=0, label=name)
        front = pareto_rows(pd.concat(frames.values()), "quality")
        axes.plot(front["latency_ms"], front["quality"], color=INK, alpha=0.55, lw=1, zorder=1)
        axes.set_xscale("log")
        axes.set_xlabel("latency of the candidate in ms")
        axes.set_ylabel(quality)
        axes.grid()
        figure.legend(loc="outside lower center", ncols=KEY_COLUMNS)
        image = svg(figure, name=f"trials-{task}", title=f"{task}: all trials, quality against latency")
    return Plot(image, f"Every trial of every search: {quality}, as estimated, against latency; line: Pareto front.")


def _shapes(task: str, found: Mapping[str, list[Searched]]) -> Plot:
    """Best architecture of each search's first seed, a bar for each layer."""
    best = {name: runs[0].best[0] for name, runs in found.items()}
    with drawing(min(8.0, 1.6 * len(best) + 1.0), 3.2, panels=len(best)) as (figure, panels):
        widest = max(max(layer) for one in best.values() for layer in layer_widths(one["architecture"]))
        for axes, (name, one) in zip(panels, best.items(), strict=True):
            _stack(axes, layer_widths(one["architecture"]), widest)
            axes.set_title(f"{name}\n{wording.milliseconds(one['latency_ms'])} ms", fontsize=8)
        panels[0].set_ylabel("layer")
        image = svg(figure, name=f"shapes-{task}", title=f"{task}: architectures that were found")
    text = (
        "The best architecture of each search (first seed), from the first layer at the bottom: dark the hidden width, "
    )
    return Plot(image, text + "light the feed-forward width.")


def layer_widths(architecture: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Hidden and feed-forward width of each layer of an architecture given as plain values."""
    if architecture.get("kind") == "layered":
        return list(zip(architecture["hidden"], architecture["feed_forward"], strict=True))
    return list(itertools.repeat((architecture["hidden"], architecture["feed_forward"]), architecture["layers"]))


def _stack(axes: "Axes", layers: Sequence[tuple[int, int]], widest: int) -> None:
    for number, (hidden, feed_forward) in enumerate(layers, start=1):
        for width, alpha, height in ((feed_forward, 0.3, 0.8), (hidden, 1.0, 0.4)):
            axes.barh(number, width, left=-width / 2, height=height, color=PALETTE[0], alpha=alpha, lw=0)
    axes.set_xlim(-widest / 2, widest / 2)
    axes.set_xticks([])
    axes.set_yticks(range(1, max(len(layers), 1) + 1))
