"""Texts of users within Markdown, read by a parser of Markdown: they show as written, and are never markup."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from distilgrid.core.markdown import code, plain
from distilgrid.reporting.table import Column, Table, Value, markdown

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ODD = [
    "pos|neg",
    "<img src=x onerror=alert(1)>",
    "<!-- ",
    "a_b _c_ __d__",
    "~~x~~",
    "[x](javascript:1)",
    "![x](y)",
    "&amp; AT&T &#65;",
    "`x` ``y``",
    "a\\|b",
    "**b** *",
    "C++ & C#",
    "https://example.org/a_b?x=1&y=2",
]


def cells(text: str) -> list[str]:
    """What the only row of a table shows."""
    rendered = READER.render(f"| x | y |\n|---|---|\n{text}\n").partition("<tbody>")[2]
    found = re.findall(r"<td>(.*?)</td>", rendered, flags=re.DOTALL)
    for each in found:
        assert re.sub(r"</?(strong|code)>", "", each).count("<") == 0, "markup of the text's own"
    return [html.unescape(re.sub(r"</?(strong|code)>", "", each)) for each in found]


def shown(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", ODD)
def test_an_odd_text_shows_as_written(text: str) -> None:
    assert cells(f"| {plain(text)} | last |") == [shown(text), "last"]
    assert cells(f"| {code(text)} | last |") == [shown(text), "last"]


@given(st.text(st.sampled_from(r"ab1 |<>&;#`*_~[]()!\:/-"), min_size=1, max_size=20))
def test_any_text_shows_as_written(text: str) -> None:
    assert cells(f"| x{plain(text)}x | last |") == [f"x{' '.join(text.split())}x", "last"]


def test_plain_words_stay_as_they_are() -> None:
    for text in ("negative", "validation_matched", "kd three, [1.2, 3.4]", "22.7 M", "~1.2", "95 % CI", "C++"):
        assert plain(text) == text
    assert code("sci/tech & more") == "<code>sci/tech & more</code>"
    assert code("negative") == "`negative`"


def test_a_value_of_a_table_cannot_make_a_column() -> None:
    made = Table.of("t", "", {Column("a|b"): [Value("x|y", "<b>|", best=True)], Column("c"): [Value("last")]})
    text = markdown([made])
    assert "<b>" not in text
    assert cells(text.splitlines()[-2 if not text.splitlines()[-1] else -1]) == ["x|y (<b>|)", "last"]
