"""Facts about prepared rows, for `dataset.json` and the log, and what readers of scores must know. Imports on use."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distilgrid.core.words import plural
from distilgrid.tasks.dataset import TEXT_COLUMNS
from distilgrid.tasks.likeness import has_texts, row_texts

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("distilgrid")

LENGTHS = (32, 64, 128, 256, 512, 1024)
"""Lengths in words over which rows are counted. A text has at least as many tokens as words."""
MUCH = 0.01
"""Share of a split's rows from which those that are like rows of another split are worth a caution."""
HOW = {"equal": "equal to", "near": "near"}
SAID = {
    "given": "given",
    "held_out": "moved to other splits",
    "left_out": "left out, as they are like validation rows",
    "capped": "over the cap",
    "repeated": "repeat an earlier one",
    "disputed": "have equal rows with another label",
}
MOST_LABELS = 20  # whose counts are listed one by one


def facts(frame: "pd.DataFrame") -> dict[str, Any]:
    """Facts about the rows of a split.

    Returns:
        `repeated`: rows that are equal to an earlier one, apart from case, space, punctuation and order; images by
        their pixels. `disputed`: rows whose equal rows have other labels. `distinct_labels`: their number. Of texts
        also `longest`, in `words` and `characters`, and `longer`: how many rows have more words than each of LENGTHS.
    """
    import pandas as pd

    rows, labels = pd.Series(row_texts(frame)), frame["label"].astype(str)
    others = labels.groupby(rows.to_numpy()).transform("nunique")
    found: dict[str, Any] = {"repeated": int(rows.duplicated().sum()), "disputed": int((others > 1).sum())}
    found["distinct_labels"] = int(labels.nunique())
    if has_texts(frame):
        lengths = pd.DataFrame(map(_lengths, *(frame[name] for name in TEXT_COLUMNS if name in frame.columns)))
        words, characters = lengths[0], lengths[1]
        found["longest"] = {"words": int(words.max()), "characters": int(characters.max())}
        found["longer"] = {str(length): int((words > length).sum()) for length in LENGTHS}
    return found


def _lengths(*texts: str) -> tuple[int, int]:
    """Words and characters of the texts of a row."""
    return sum(len(text.split()) for text in texts), sum(map(len, texts))


def cut_rows(found: Mapping[str, Any], max_length: int) -> int:
    """The least number of rows that a longest input of `max_length` tokens cuts, from the facts about a split."""
    length = next((length for length in LENGTHS if length >= max_length), None)
    return 0 if length is None or "longer" not in found else int(found["longer"][str(length)])


def cautions(dataset: Mapping[str, Any]) -> list[str]:
    """What a reader of scores must know: labels that a split lacks, and rows that splits share.

    `dataset` is `dataset.json` with the facts of each split as `found`.
    """
    scored = ["dev", *dataset["validation"]]
    said = [why for name in scored if (why := _one_label(name, dataset))]
    said += [why for name in ("train", *scored) if (why := _absent(name, dataset["splits"][name]["label_counts"]))]
    return said + list(_shared(dataset))


def _one_label(name: str, dataset: Mapping[str, Any]) -> str:
    """A caution on a split whose rows have the same label; empty for another split."""
    if dataset["found"][name]["distinct_labels"] > 1:
        return ""
    label = next((f" '{label}'" for label, count in dataset["splits"][name]["label_counts"].items() if count), "")
    what = "so they select no weights, and the last ones are kept" if name == "dev" else "so its scores tell little"
    return f"{name}: all rows have the same label{label}, {what}"


def _absent(name: str, counts: Mapping[str, int]) -> str:
    """A caution on the labels that no row of a split has, unless it has a single one; empty for a complete split."""
    absent = [label for label, count in counts.items() if not count]
    if not absent or (len(absent) == len(counts) - 1 and name != "train"):
        return ""
    more = f" and {len(absent) - 1:,} more" if len(absent) > 1 else ""
    return f"{name}: no row has the label '{absent[0]}'{more}"


def _shared(dataset: Mapping[str, Any]) -> Iterator[str]:
    """Cautions on splits of which many rows are like rows of others, were so, or are labelled in two ways."""
    scored = sum(dataset["splits"][name]["rows"] for name in dataset["validation"])
    for name, count in dataset["alike"]["left_out"].items():
        if count and count >= MUCH * scored:
            yield f"{name}: {_rows(count)} {SAID['left_out']}"
    for name, split in dataset["splits"].items():
        disputed = dataset["found"][name]["disputed"]
        if disputed and disputed >= MUCH * split["rows"]:
            yield f"{name}: {disputed:,} of {_rows(split['rows'])} {SAID['disputed']}"
        for place, how, count in _likes(dataset, name):
            if count and count >= MUCH * split["rows"]:
                yield f"{name}: {count:,} of {_rows(split['rows'])} {how} a row of {place}"


def _likes(dataset: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, int]]:
    """For each split that a split's rows are compared with: its name, "equal to" or "near", and the number of rows."""
    for place in ("train", "dev"):
        for how, count in dataset["alike"][place].get(name, {}).items():
            yield place, HOW[how], count


def report(dataset: Mapping[str, Any], *, max_length: int) -> None:
    """Log the facts of `dataset.json`: a line for each split, and each caution.

    `max_length` is the longest input of a model in tokens.
    """
    for name, split in dataset["splits"].items():
        found = dataset["found"][name] | {"left_out": dataset["alike"]["left_out"].get(name, 0)}
        parts = [_rows(split["rows"]), *_labels(split["label_counts"])]
        parts += [f"{found[what]:,} {said}" for what, said in SAID.items() if found.get(what)]
        if "longest" in found:
            sizes = (plural(count, what.removesuffix("s")) for what, count in found["longest"].items())
            parts.append(f"longest {', '.join(sizes)}")
        parts += [f"{count:,} {how} a row of {place}" for place, how, count in _likes(dataset, name) if count]
        cut = cut_rows(found, max_length)
        parts += [f"at least {cut:,} cut at {max_length} tokens"] if cut else []
        log.info("%s: %s", name, "; ".join(parts))
    for caution in dataset["cautions"]:
        log.warning("%s", caution)
    if any(" near a row of train" in caution for caution in dataset["cautions"]):
        log.info("data.leave_out_near: true leaves rows that are near validation rows out of train and dev")


def _rows(count: int) -> str:
    return plural(count, "row")


def _labels(counts: Mapping[str, int]) -> Sequence[str]:
    """The number of rows with each label, or the range for many labels."""
    if not counts:
        return []
    if len(counts) <= MOST_LABELS:
        return [", ".join(f"{label} {count:,}" for label, count in counts.items())]
    return [f"{len(counts)} labels with {min(counts.values()):,} to {max(counts.values()):,} rows"]
