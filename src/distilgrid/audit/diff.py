"""Comparison of two grids, cell by cell: changed scores and their reasons, as text and as JSON."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilgrid.audit.changes import Change, Tracer, surroundings
from distilgrid.audit.made import Made, by_key, finished, read_made
from distilgrid.core.artefacts import MODEL_STAGES
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.reporting import wording
from distilgrid.reporting.lines import AXES as LINE_AXES
from distilgrid.reporting.scoring import scoring

AXES = (*LINE_AXES, "seed")
METRICS = "metrics.json"
UNEXPLAINED = Change(
    "unknown", "the same recipe, packages and processor: `distilgrid verify` tells whether files changed"
)
Place = tuple[Any, ...]


@dataclass(frozen=True)
class GridSide:
    """One of the two grids."""

    report: Path  # the folder of its report
    name: str  # the grid's name
    cells: Mapping[Place, Made]  # its teachers and students by their values of `AXES`
    artefacts: Mapping[str, Made]  # everything in its results folder, by key


@dataclass(frozen=True)
class CellPair:
    """A cell of both grids: A's score before, B's score after. Equal cells have no reasons."""

    place: Place
    metric: str
    before: float
    after: float
    why: tuple[Change, ...]


@dataclass(frozen=True)
class Comparison:
    """Two grids, A and B, with their common cells in A's order, and the places that only A or only B has."""

    sides: tuple[GridSide, GridSide]
    pairs: list[CellPair]
    only: tuple[list[Place], list[Place]]


def open_side(report: Path) -> GridSide:
    """Open a grid by its report's folder. Raises UserError when that holds no report, or cells of it are gone."""
    made = read_made(report)
    if made.stage != "report":
        raise UserError(f"{report}: holds the output of '{made.stage}'; give a folder of results/reports")
    results = report.resolve().parent.parent
    found = finished(results)
    wanted = made.inputs["model"]
    models = [each for each in found if each.stage in MODEL_STAGES and each.key in wanted]
    cells = {tuple(each.run["labels"].get(axis) for axis in AXES): each for each in models}
    present = {each.key for each in cells.values()}
    gone = [key for key in wanted if key not in present]
    if gone:
        raise UserError(
            f"{report}: {len(gone)} of its {len(wanted)} cells are not in {results}, the first is {gone[0]}"
        )
    return GridSide(report, str(made.run["labels"].get("grid", report.name)), cells, by_key(found))


def compare(one: GridSide, other: GridSide) -> Comparison:
    """Pair the cells of two grids."""
    pairs = [_pair(place, one, other) for place in one.cells if place in other.cells]
    alone = [[place for place in a.cells if place not in b.cells] for a, b in ((one, other), (other, one))]
    return Comparison((one, other), pairs, (alone[0], alone[1]))


def _pair(place: Place, one: GridSide, other: GridSide) -> CellPair:
    old, new = one.cells[place], other.cells[place]
    before, after = (open_finished(made.folder, only=()).json(METRICS) for made in (old, new))
    why: Sequence[Change] = Tracer(one.artefacts, other.artefacts).reasons(old, new)
    if old.key == new.key and before["validation"] != after["validation"]:
        why = surroundings(old, new) or [UNEXPLAINED]
    if before["score_name"] != after["score_name"]:
        raise UserError(f"{new.folder}: scored by {after['score_name']}, but {old.folder} by {before['score_name']}")
    return CellPair(place, before["score_name"], before["score"], after["score"], tuple(why))


def as_text(comparison: Comparison) -> str:
    """Changed cells below their reasons, the number of equal cells, and the cells of only one grid."""
    return "\n".join(_lines(comparison))


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values: `cells`, `only_a`, `only_b`."""
    return {
        "a": str(comparison.sides[0].report),
        "b": str(comparison.sides[1].report),
        "cells": [_plain(pair) for pair in comparison.pairs],
        "only_a": [_axes(place) for place in comparison.only[0]],
        "only_b": [_axes(place) for place in comparison.only[1]],
    }


def _lines(comparison: Comparison) -> Iterator[str]:
    for letter, side in zip("AB", comparison.sides, strict=True):
        yield f"{letter}: {side.report}, grid '{side.name}', {wording.plural(len(side.cells), 'model')}"
    groups: dict[tuple[str, ...], list[CellPair]] = defaultdict(list)
    for pair in comparison.pairs:
        groups[tuple(f"{change.kind}: {change.what}" for change in pair.why)].append(pair)
    same = groups.pop((), [])
    for why, pairs in groups.items():
        yield ""
        yield from (f"because of {reason}" for reason in why)
        yield from _table(pairs)
    yield ""
    yield f"the same: {wording.plural(len(same), 'model')}"
    for letter, places in zip("AB", comparison.only, strict=True):
        if places:
            yield f"only in {letter}: {wording.plural(len(places), 'model')}"
            yield from (f"  {_named(place)}" for place in places)


def _table(pairs: Sequence[CellPair]) -> Iterator[str]:
    names = [_named(pair.place) for pair in pairs]
    width = max(map(len, names))
    for name, pair in zip(names, pairs, strict=True):
        shown = scoring(pair.metric)
        scores = f"{shown.score(pair.before):>5} -> {shown.score(pair.after):>5}"
        yield f"  {name:{width}}  {pair.metric} {scores}  {shown.signed(pair.after - pair.before):>5}"
    scales = {scoring(pair.metric).scale for pair in pairs}
    if len(pairs) > 1 and len(scales) == 1:  # points and other units have no common mean
        changes, shown = [pair.after - pair.before for pair in pairs], scoring(pairs[0].metric)
        spread = f"standard deviation {shown.score(statistics.stdev(changes))}"
        yield f"  mean of {len(changes)}: {shown.signed(statistics.fmean(changes))}, {spread}"


def _named(place: Place) -> str:
    """A cell in few words, without the usual values."""
    axes = _axes(place)
    parts = [axes["task"], axes["teacher"], axes["method"]]
    parts += [axes["student"]] if axes["student"] != axes["teacher"] else []
    parts += [axes["augmentation"]] if axes["augmentation"] not in (None, "none") else []
    parts += [f"{axes['fraction']:g} of the rows"] if axes["fraction"] not in (None, 1.0) else []
    return " ".join([*map(str, parts), f"seed {axes['seed']}"])


def _axes(place: Place) -> dict[str, Any]:
    return dict(zip(AXES, place, strict=True))


def _plain(pair: CellPair) -> dict[str, Any]:
    values = {"metric": pair.metric, "a": pair.before, "b": pair.after}
    return _axes(pair.place) | values | {"why": [vars(change) for change in pair.why]}
