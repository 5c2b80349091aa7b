"""A comparison of two grids as text and as JSON."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from distilgrid.audit.diff import AXES, CellPair, Comparison, Place
from distilgrid.reporting import wording
from distilgrid.reporting.scoring import scoring


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
