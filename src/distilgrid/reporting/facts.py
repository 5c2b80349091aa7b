"""What tables and cards say about prepared rows: `found` and `cautions` of `dataset.json`. Old data has neither."""

from collections.abc import Iterable, Mapping
from typing import Any

from distilgrid.reporting import wording
from distilgrid.tasks.facts import cut_rows

REPEATED = (
    "Repeated: rows that are equal to an earlier one of their split; disputed are those whose equal rows have another "
    "label."
)
LONGEST = "Longest: cut are at least the texts with more words than the longest input has tokens."


def caption(datasets: Iterable[Mapping[str, Any]]) -> str:
    """The meaning of the facts that some data sets have; empty where none has any."""
    found = [facts for dataset in datasets if known(dataset) for facts in dataset["found"].values()]
    parts = [REPEATED if found else "", LONGEST if any("longest" in facts for facts in found) else ""]
    return " ".join(parts).strip()


def known(dataset: Mapping[str, Any]) -> bool:
    """Whether the facts about the rows were stored."""
    return "found" in dataset


def repeated(dataset: Mapping[str, Any], split: str) -> str:
    """How many rows of a split repeat others: "12", or "12, 4 disputed"."""
    if not known(dataset):
        return wording.DASH
    found = dataset["found"][split]
    return f"{found['repeated']:,}" + (f", {found['disputed']:,} disputed" if found["disputed"] else "")


def longest(dataset: Mapping[str, Any], split: str, max_length: int) -> str:
    """The longest row of a split, and how many are cut at `max_length` tokens: "310 words, 12 cut"."""
    found = dataset["found"][split] if known(dataset) else {}
    if "longest" not in found:
        return wording.DASH
    cut = cut_rows(found, max_length)
    return wording.plural(found["longest"]["words"], "word") + (f", {cut:,} cut" if cut else "")


def noted(datasets: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What readers of scores must know about the rows of each task, for tables of several tasks."""
    known = {task: dataset.get("cautions") for task, dataset in datasets.items()}
    return {f"rows of {task}": "; ".join(said) for task, said in known.items() if said}


def cautions(dataset: Mapping[str, Any]) -> str:
    """What readers of scores must know about the rows, as a sentence; empty where there is nothing."""
    said = "; ".join(dataset.get("cautions", []))
    return f"About the rows: {said}." if said else ""
