"""Matplotlib figures as SVG text with the page's font and colours. Needs no display and changes no global state."""

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # replaced by the page's text colour
BASELINE = "#8a8f98"
# Okabe & Ito (2008): distinct with any kind of colour vision. Yellow is left out because it is too pale for lines.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
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


def method_colours(methods: Sequence[str], baseline: str) -> dict[str, str]:
    """One colour for each method, the same in every plot. The baseline is grey."""
    others = [method for method in methods if method != baseline]
    return {baseline: BASELINE, **{method: PALETTE[n % len(PALETTE)] for n, method in enumerate(others)}}


@contextlib.contextmanager
def drawing(
    width: float, height: float, panels: int = 1, *, columns: int | None = None
) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure of `width` x `height` inches. Its panels share the y axis and stand in one row, or in `columns`."""
    with _figure(width, height) as figure:
        wide = columns or panels
        axes = figure.subplots(-(-panels // wide), wide, sharey=True, squeeze=False).ravel().tolist()
        for unused in axes[panels:]:
            unused.remove()
        yield figure, axes[:panels]


@contextlib.contextmanager
def stacked(width: float, height: float, *, shares: Sequence[float]) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure of `width` x `height` inches. Its panels share the x axis and split the height by `shares`."""
    with _figure(width, height) as figure:
        panels = figure.subplots(len(shares), 1, sharex=True, squeeze=False, height_ratios=shares)
        yield figure, panels.ravel().tolist()


@contextlib.contextmanager
def _figure(width: float, height: float) -> Iterator["Figure"]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def svg(figure: "Figure", *, name: str, title: str) -> str:
    """An `<svg>` element for a page. `name` makes its ids unique, `title` is its label."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"; font-family: [^;\"]*", "", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor")
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{title}" ', text, count=1)
