"""What tables and cards say about rows that splits of a data set share: `alike` of `dataset.json`."""

from collections.abc import Mapping
from typing import Any

from distilgrid.reporting import wording
from distilgrid.tasks.likeness import NEAR

PLACES = ("train", "dev")
CAPTION = (
    "Left out: rows whose texts are those of a validation row, apart from case, space, punctuation and order. "
    "Like rows of: in the same sense, rows that are equal to a row of another split, or near one: words and pairs of "
    f"adjacent words have a Jaccard index of {NEAR:g} or more."
)


def compared(dataset: Mapping[str, Any]) -> bool:
    """Whether the rows of a data set are texts, which are compared with each other."""
    return "alike" in dataset


def left_out(dataset: Mapping[str, Any], split: str) -> str:
    """The number of rows that a split lost because a validation split holds them; a dash for one that can lose none."""
    count = dataset["alike"]["left_out"].get(split) if compared(dataset) else None
    return wording.DASH if count is None else f"{count:,}"


def like_rows(dataset: Mapping[str, Any], split: str) -> str:
    """How many rows of a split are like rows of others: "train 3 equal, 12 near; dev none"."""
    places = PLACES if compared(dataset) else ()
    found = {place: counts for place in places if (counts := dataset["alike"][place].get(split))}
    return "; ".join(f"{place} {_words(counts)}" for place, counts in found.items()) or wording.DASH


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "none"
