"""Plain English from reStructuredText: paragraphs of prose without inline markup, library names masked."""

import re
from collections.abc import Iterator
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
