"""From measured runs to the tables of training throughput."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from distilgrid.training.efficiency import training_flops
from sidebyside.contenders import BASELINE, BEST, CONTENDERS
from sidebyside.table import markdown

Result = dict[str, Any]
SECTIONS = ("data", "forward", "backward", "optimiser")
COLUMNS = ("contender", "tokens/s", "lowest to highest", "ms a step", "to default", "to best", "of peak")


def throughput_table(results: Sequence[Result]) -> str:
    """Useful tokens per second of every contender on every task: medians over the rounds."""
    peak = max((result["peak"] for result in results if result.get("precision") == "bf16"), default=None)
    rows = []
    for task in dict.fromkeys(result["task"] for result in results):
        of_task = [result for result in results if result["task"] == task]
        for name in dict.fromkeys(result["contender"] for result in of_task):
            rows.append([task, *_cells(name, of_task, peak)])
    return markdown(["task", *COLUMNS], rows, left=2)


def split_table(results: Sequence[Result]) -> str:
    """Where the time of DistilGrid's steps goes: medians over the rounds, in ms a step."""
    rows = []
    own = [result for result in results if "time_split" in result]
    for task, name in dict.fromkeys((result["task"], result["contender"]) for result in own):
        found = [result for result in own if (result["task"], result["contender"]) == (task, name)]
        parts = [median(r["time_split"].get(part, 0.0) / r["steps"] for r in found) for part in SECTIONS]
        rest = median(r["seconds"] / r["steps"] for r in found) - sum(parts)
        rows.append([task, CONTENDERS[name].title, *(f"{part * 1e3:.1f}" for part in [*parts, rest])])
    return markdown(["task", "ms a step", *SECTIONS, "rest"], rows, left=2) if rows else ""


def peak_line(results: Sequence[Result]) -> str:
    """The measured rate of matrix products, which shares are of."""
    measured = [result for result in results if result.get("precision") == "bf16"]
    if not measured:
        return "No contender measured the bf16 rate of matrix products."
    peaks, size = [result["peak"] for result in measured], measured[0]["peak_size"]
    return (
        f"Peak: bf16 products of {size} x {size} matrices, {max(peaks) / 1e9:,.0f} GFLOP/s at best (median "
        f"{median(peaks) / 1e9:,.0f}). Shares count the operations of useful tokens in steps; evaluation is not timed."
    )


def _cells(name: str, of_task: Sequence[Result], peak: float | None) -> list[str]:
    """One contender's line, from all results of a task."""
    rates = _rates(name, of_task)
    mine = [result for result in of_task if result["contender"] == name]
    step = median(result["seconds"] / result["steps"] for result in mine)
    share = median(map(_flops, mine)) / peak if peak else None
    return [
        CONTENDERS[name].title,
        f"{median(rates.values()):,.0f}",
        f"{min(rates.values()):,.0f} to {max(rates.values()):,.0f}",
        f"{step * 1e3:,.1f}",
        _ratio(rates, _rates(BASELINE, of_task)),
        _ratio(rates, _rates(BEST, of_task)),
        "-" if share is None else f"{share:.1%}",
    ]


def _rates(name: str, of_task: Sequence[Result]) -> dict[int, float]:
    """Useful tokens per second by round."""
    return {r["round"]: r["tokens"] / r["seconds"] for r in of_task if r["contender"] == name}


def _ratio(rates: dict[int, float], base: dict[int, float]) -> str:
    """The median over rounds of the ratio within a round, so that the machine's slow drifts cancel."""
    shared = rates.keys() & base.keys()
    return f"{median(rates[i] / base[i] for i in shared):.2f}x" if shared else "-"


def _flops(result: Result) -> float:
    """Operations per second."""
    operations = training_flops(
        matrix_weights=result["matrix_weights"],
        layers=result["layers"],
        width=result["width"],
        tokens=result["tokens"],
        mean_length=result["tokens"] / result["rows"],
    )
    return operations / result["seconds"]
