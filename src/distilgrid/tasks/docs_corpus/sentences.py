"""Whole English sentences from plain paragraphs."""

import re
from dataclasses import dataclass

from distilgrid.tasks.docs_corpus.sentences import mask_libraries, plain_text, prose_blocks

MIN_WORDS, MAX_WORDS = 5, 40
_MIN_ENGLISH = 0.75  # share of words that are letters only

_NO_END = re.compile(r"(?i:e\.g|i\.e|vs|cf|figs?|eqs?|eqn|al|refs?|dr|prof|no|vol|pp|ch|sec|approx|resp|viz)|[A-Z]")
_END = re.compile(r"[.!?][\"')]*\s+(?=[\"'(]?[A-Z])")
_SENTENCE = re.compile(r"[A-Z][A-Za-z\u00c0-\u017e0-9 .,;:'\"()%!?/&_-]*[^\W_][\"')]?[.!?]")
_RESIDUE = re.compile(
    r"\w\(|\(\)|\.{2}|::|https?:|www\.|\.py\b|\s[.,;]|\b[A-Z]\. [A-Z]|[a-z)]{3}\. [a-z_]"
    r"|--|''|\( | \)|(?<!\S)/\w|[/-]np\.|\b(?:TODO|FIXME|XXX)\b|(?i:copyright|licen[cs]e|user guide)"
)
_WORD = re.compile(r"[A-Za-z\u00c0-\u017e]+(?:['-][A-Za-z\u00c0-\u017e]+)*")


@dataclass(frozen=True)
class DocEntry:
    """The clean sentences of one docstring in order; `has_summary` tells whether the first one is the summary line."""

    module: str
    sentences: tuple[str, ...]
    has_summary: bool


def read_entry(module: str, docstring: str) -> DocEntry:
    """The clean sentences of a docstring, library names masked."""
    found: list[str] = []
    has_summary = False
    for i, block in enumerate(prose_blocks(docstring)):
        for j, raw in enumerate(split_sentences(plain_text(block))):
            if is_clean(raw):
                has_summary |= i == j == 0
                found.append(mask_libraries(raw))
    return DocEntry(module, tuple(found), has_summary)


def split_sentences(text: str) -> list[str]:
    """Cut a paragraph after full stops that end a sentence, unlike those of `e.g.`, `Fig.` or an initial."""
    sentences, start = [], 0
    for end in _END.finditer(text):
        last = text[start : end.start()].rpartition(" ")[2].lstrip("(\"'")
        if _NO_END.fullmatch(last):
            continue
        sentences.append(text[start : end.end()].strip())
        start = end.end()
    return [*sentences, text[start:].strip()]


def is_clean(sentence: str) -> bool:
    """Whether a sentence is whole, of moderate length, mostly English words, and free of code and markup."""
    words = sentence.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or not _SENTENCE.fullmatch(sentence) or _RESIDUE.search(sentence):
        return False
    if sentence.count("(") != sentence.count(")") or sentence.count('"') % 2:
        return False
    english = sum(bool(_WORD.fullmatch(word.strip("\"'().,;:!?"))) for word in words)
    return english >= _MIN_ENGLISH * len(words)


def normalised(text: str) -> str:
    """Lower-case letters and single blanks: texts that are equal in this form count as one."""
    return " ".join(re.findall(r"[a-z]+", text.lower()))
