"""Rows of the two tasks from sentences: splits by file, unique texts, fair negatives. Hashes decide every choice."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from distilgrid.tasks.docs_corpus.sentences import DocEntry, normalised

Corpus = Mapping[str, Sequence[DocEntry]]
"""The entries of each library, in the order of PACKAGES; those of one library in the order of paths and lines."""
Row = tuple[Any, ...]

TOPIC_ROWS = {"train": 2000, "dev": 200, "validation": 300}
"""Most sentences per library and split: the smallest library still fills them, so classes are balanced."""
MIN_DESCRIPTION, MAX_DESCRIPTION = 8, 60  # words

_SHARES = (("dev", 0.08), ("validation", 0.20))  # cumulative; the rest is train
_SALT = "docs-corpus-12"  # with this one, every library fills its splits at the locked versions

T = TypeVar("T")


def split_of(module: str) -> str:
    """The split of a module file. A hash of its relative path decides, so other files never matter."""
    position = rank(f"split/{module}") / 2**64
    return next((split for split, share in _SHARES if position < share), "train")


def rank(text: str) -> int:
    """A stable random number in [0, 2**64) for a text."""
    return int.from_bytes(hashlib.sha256(f"{_SALT}/{text}".encode()).digest()[:8], "big")


def topic_rows(corpus: Corpus) -> dict[str, list[Row]]:
    """Rows (sentence, label) of `docs-topic`, shuffled; the label is the library's position."""
    labels = {library: i for i, library in enumerate(corpus)}
    sentences = ((library, (entry.module, text)) for library, entry in _entries(corpus) for text in entry.sentences)
    rows: dict[str, list[Row]] = {split: [] for split in TOPIC_ROWS}
    for (library, split), texts in _groups(_distinct(sentences, lambda item: normalised(item[1]))).items():
        rows[split] += [(text, labels[library]) for _, text in texts[: TOPIC_ROWS[split]]]
    return {split: _shuffled(found) for split, found in rows.items()}


def match_rows(corpus: Corpus) -> dict[str, list[Row]]:
    """Rows (summary, description, label) of `docs-match`, shuffled.

    Every summary and every description occurs once with each label, so neither alone reveals it. A wrong summary comes
    from another docstring of the same library and split.
    """
    found = [(library, (e.module, e.sentences[0], _description(e))) for library, e in _entries(corpus) if e.has_summary]
    pairs = [pair for pair in found if len(pair[1][2].split()) >= MIN_DESCRIPTION]
    pairs = _distinct(_distinct(pairs, lambda item: normalised(item[1])), lambda item: normalised(item[2]))
    rows: dict[str, list[Row]] = {split: [] for split in TOPIC_ROWS}
    for (_, split), group in _groups(pairs).items():
        for (_, wrong, _), (_, summary, description) in zip(group[1:] + group[:1], group, strict=True):
            if len(group) > 1:
                rows[split] += [(summary, description, 1), (wrong, description, 0)]
    return {split: _shuffled(found) for split, found in rows.items()}


def _entries(corpus: Corpus) -> Iterator[tuple[str, DocEntry]]:
    return ((library, entry) for library, entries in corpus.items() for entry in entries)


def _description(entry: DocEntry) -> str:
    """As many whole sentences after the summary as fit."""
    chosen: list[str] = []
    for sentence in entry.sentences[1:]:
        if len(" ".join([*chosen, sentence]).split()) > MAX_DESCRIPTION:
            break
        chosen.append(sentence)
    return " ".join(chosen)


def _distinct(items: Iterable[tuple[str, T]], key: Callable[[T], Hashable]) -> list[tuple[str, T]]:
    """The first item with each key, without keys that two libraries share."""
    items = list(items)
    owners = Counter(same for same, _ in {(key(item), library) for library, item in items})
    kept: dict[Hashable, tuple[str, T]] = {}
    for library, item in items:
        if owners[key(item)] == 1:
            kept.setdefault(key(item), (library, item))
    return list(kept.values())


def _groups(items: Iterable[tuple[str, tuple[str, ...]]]) -> dict[tuple[str, str], list[Any]]:
    """The items of each (library, split), shuffled; the first field of an item is its module."""
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for library, item in items:
        groups[library, split_of(item[0])].append(item)
    return {key: _shuffled(group) for key, group in groups.items()}


def _shuffled(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: (rank("\x1f".join(map(str, row))), row))
