"""Whole English sentences from docstrings: prose without reStructuredText markup, library names masked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

MASK = "Library"
"""Stands for the name of any library of the corpus, as a proper noun so that sentences stay grammatical."""
UNREADABLE = "\0"
"""Stands for code and formulas; a sentence that holds it is dropped."""

_SKIPPED_SECTION = re.compile(
    r"(?:(?:other|optional) parameters|keyword arguments|see also|args|arguments|attributes|authors?|examples?|keywords"
    r"|methods|parameters|raises|receives|references?|returns|routines|usage|warns|yields):?",
    re.IGNORECASE,
)
_UNDERLINE = re.compile(r"([-=~^*\"'#+])\1{2,}\s*$")
_NO_PROSE = re.compile(r"\.\.|>>>|[:*|+#=\[@<]|- |\(?\w{1,2}[.)] ")
_SIGNATURE = re.compile(r"\w[\w.]*\(.*\)")

_CITATIONS = re.compile(r"(?<!\w)(\w*)(?:,?\s*(?:and\s+)?\[[^\[\]\s]+\]_)+")
_WANTS_OBJECT = re.compile(
    "also|and|as|by|called|cf|following|from|given|in|is|named|of|on|or|paper|per|see|to|using|with", re.IGNORECASE
)
_LITERAL = re.compile(r"``(.+?)``")
_ROLE = re.compile(r"(?::(?:\w+:)?(?P<role>\w+):)?`(?P<text>[^`]+)`_{0,2}")
_ALIAS = re.compile(r"^_\w+\.")  # SQLAlchemy's short names for its own modules
_LINK = re.compile(r"(.+?)\s*<.*>", re.DOTALL)
_EMPHASIS = re.compile(r"(?<!\w)(\*\*?)(?=[^*\s])([^*]*[^*\s])\1(?!\w)")
_DASH = re.compile(r"(?<=\S)(\s?)---?\1(?=\S)")
_CODE = re.compile(r"[A-Za-z_][\w.]*|-?\d+(?:\.\d+)?")
_TITLE = re.compile(r"[\w .,'/-]+")
_MARKS, _ASCII = "\u2018\u2019\u201c\u201d\u2010\u2013\u00a0", "''\"\"-- "
_PLAIN = str.maketrans({**dict(zip(_MARKS, _ASCII, strict=True)), "\u2014": " - "})

_NAMES = "numpy|pandas|scipy|sci-?kit|sklearn|matplotlib|mpl_toolkits|pyplot|pylab|networkx|sqlalchemy|sympy"
_LIBRARY = re.compile(
    r"(?<![\w.])(?:([Aa])n )?"
    rf"(?:[\w.]*(?i:{_NAMES})\w*(?:-(?i:learn)\b)?(?:\.\w+)*|(?:np|pd|plt|nx|mpl)(?:_\w+)?\b(?:\.\w+)*|(?:sa|sp)\.\w+)"
)

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


def prose_blocks(docstring: str) -> list[str]:
    """The paragraphs of running text, one line each, without parameters, code, lists, tables and directives.

    A signature before the summary, as in docstrings of compiled functions, is skipped.
    """
    blocks = [lines for lines in _blocks(docstring) if lines]
    while blocks and _SIGNATURE.match(blocks[0][0]):
        del blocks[0]
    return [" ".join(lines) for lines in blocks if _is_prose(lines)]


def plain_text(block: str) -> str:
    """A paragraph without inline markup; `UNREADABLE` replaces everything else."""
    text = _CITATIONS.sub(_citations, block.translate(_PLAIN))
    text = _LITERAL.sub(lambda found: _readable(found[1], _CODE), text)
    text = _ROLE.sub(_role, text)
    text = _DASH.sub(" - ", _EMPHASIS.sub(r"\2", text))
    return " ".join(text.split())


def mask_libraries(text: str) -> str:
    """The text with `MASK` in place of library names, import aliases and paths below them."""
    return _LIBRARY.sub(lambda found: f"{found[1]} {MASK}" if found[1] else MASK, text)


def _blocks(docstring: str) -> Iterator[list[str]]:
    """Runs of lines between blank lines, without those of skipped sections."""
    lines = [*docstring.split("\n"), "", ""]
    block: list[str] = []
    skipping = False
    for line, following in pairwise(lines):
        underlined = bool(line.strip()) and bool(_UNDERLINE.match(following.strip()))
        if underlined or not line.strip() or _UNDERLINE.match(line.strip()):
            yield block
            block = []
            if underlined:
                skipping = bool(_SKIPPED_SECTION.fullmatch(line.strip()))
        elif not skipping:
            block.append(line.rstrip())


def _is_prose(lines: list[str]) -> bool:
    return not any(line[0].isspace() or _NO_PROSE.match(line) for line in lines)


def _citations(found: re.Match[str]) -> str:
    """Drop footnote marks; a sentence that needs its mark ("as shown in [1]_") becomes unreadable."""
    return UNREADABLE if _WANTS_OBJECT.fullmatch(found[1]) else found[1]


def _role(found: re.Match[str]) -> str:
    text = found["text"]
    titled = _LINK.fullmatch(text)
    if titled:
        return _readable(titled[1], _TITLE)
    if text.startswith("~"):
        text = text.rpartition(".")[2]
    text = _ALIAS.sub("", text)
    return _readable(text.lstrip("!."), _TITLE if found["role"] else _CODE)


def _readable(text: str, pattern: re.Pattern[str]) -> str:
    text = text.removesuffix("()")
    return text if pattern.fullmatch(text) else UNREADABLE
