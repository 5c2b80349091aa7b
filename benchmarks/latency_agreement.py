"""Agreement of two runs of a benchmark: the share of rows whose medians are within some per cent.

Run: python benchmarks/latency_agreement.py FIRST/benchmark.json SECOND/benchmark.json

A row is a model in a runtime at a shape. Rows that the noise gate marked in either run are counted apart: they said of
themselves that they are not to be relied on.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Row = tuple[str, str, bool, str, int, int, int | None]


class Median(NamedTuple):
    """Of one row: its milliseconds, and whether it was marked as noisy."""

    milliseconds: float
    noisy: bool


def medians(path: Path) -> dict[Row, Median]:
    """The rows of a run."""
    found = {}
    for entry in json.loads(path.read_text(encoding="utf-8"))["entries"]:
        name = entry["name"], entry["runtime"], entry["optimised"]
        for shape in entry["shapes"]:
            row = (*name, shape["kind"], shape["threads"], shape["batch_size"], shape["length"])
            found[row] = Median(shape["p50_ms"], bool(shape["noisy"]))
    return found


def difference(one: Median, other: Median) -> float:
    """Of two medians, as a share of the smaller."""
    low, high = sorted((one.milliseconds, other.milliseconds))
    return high / low - 1


def main() -> None:
    """Print the counts, and the rows that are furthest apart."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("runs", nargs=2, type=Path, help="benchmark.json of two runs")
    parser.add_argument("--within", type=float, default=5.0, help="per cent")
    options = parser.parse_args()
    first, second = map(medians, options.runs)
    both = [row for row in first if row in second]
    apart = {row: difference(first[row], second[row]) for row in both}
    marked = {row for row in both if first[row].noisy or second[row].noisy}
    _say("all rows", apart, options.within)
    _say("rows that the noise gate did not mark", {r: d for r, d in apart.items() if r not in marked}, options.within)
    for row in sorted(apart, key=lambda row: -apart[row])[:10]:
        sign = "~" if row in marked else " "
        both_ms = f"{first[row].milliseconds:8.3f} {second[row].milliseconds:8.3f} ms"
        print(f"{sign} {100 * apart[row]:5.1f} %  {both_ms}  {row}")


def _say(what: str, apart: Mapping[Any, float], within: float) -> None:
    near = sum(100 * value <= within for value in apart.values())
    share = 100 * near / max(1, len(apart))
    middle = 100 * statistics.median(apart.values()) if apart else 0.0
    print(f"{what}: {near} of {len(apart)} within {within:g} % ({share:.1f} %); median difference {middle:.2f} %")


if __name__ == "__main__":
    main()
