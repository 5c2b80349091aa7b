"""From scored runs to the table of equal scores."""

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from sidebyside.contenders import CONTENDERS, SCORES
from sidebyside.table import markdown

Record = dict[str, Any]
REFERENCE = SCORES[0]
COLUMNS = ("rows", "seeds", "mean", "standard deviation", "difference to the Trainer", "its standard error")


def scores_table(records: Sequence[Record]) -> str:
    """Mean and spread over seeds in points, and each difference to the Trainer with its standard error."""
    rows = []
    for task, name in dict.fromkeys((record["task"], record["contender"]) for record in records):
        found = [r for r in records if (r["task"], r["contender"]) == (task, name)]
        base = _points(r for r in records if (r["task"], r["contender"]) == (task, REFERENCE))
        label = f"{task} ({found[0]['metric']})"
        rows.append([label, CONTENDERS[name].title, f"{found[0]['rows']:,}", *_cells(_points(found), base, name)])
    return markdown(["task", "contender", *COLUMNS], rows, left=2)


def _points(records: Any) -> list[float]:
    return [100 * record["score"] for record in records]


def _cells(points: list[float], base: list[float], name: str) -> list[str]:
    compared = name != REFERENCE and base
    return [
        str(len(points)),
        f"{mean(points):.2f}",
        f"{stdev(points):.2f}" if len(points) > 1 else "-",
        f"{mean(points) - mean(base):+.2f}" if compared else "-",
        f"{_standard_error(points, base):.2f}" if compared and min(len(points), len(base)) > 1 else "-",
    ]


def _standard_error(first: list[float], second: list[float]) -> float:
    """Of the difference of two means. Seeds pair nothing between frameworks, so the samples are independent."""
    return math.sqrt(sum(stdev(points) ** 2 / len(points) for points in (first, second)))
