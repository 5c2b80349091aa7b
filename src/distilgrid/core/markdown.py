"""Texts of users within Markdown: labels, notes, licences and names of machines show as they are written."""

import re

SPECIAL = (
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),  # else it would be read as an entity
    (re.compile(r"\\"), r"\\\\"),
    (re.compile("<"), "&lt;"),
    (re.compile(">"), "&gt;"),
    (re.compile(r"[`*|]"), r"\\\g<0>"),
    (re.compile(r"\](?=[(\[])"), r"\\]"),  # of a link or an image
    (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), r"\\_"),  # within a word it stands for itself
    (re.compile(r"~(?=.*~)|(?<=~)~"), r"\\~"),  # of a pair, which would strike out
)
HARMLESS = re.compile(r"[^`|<>&\\]+")


def plain(text: str) -> str:
    """A text in one line of Markdown, such as a value of a table, that no renderer reads as markup or HTML."""
    shown = " ".join(str(text).split())
    for pattern, instead in SPECIAL:
        shown = pattern.sub(instead, shown)
    return shown


def code(text: str) -> str:
    """A text as code; in HTML's notation where backticks could not hold it, or a table would be cut."""
    return f"`{text}`" if HARMLESS.fullmatch(text) else f"<code>{plain(text)}</code>"
