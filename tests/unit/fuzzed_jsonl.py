"""Files of JSON lines drawn by hypothesis: values of every type, keys in any order, lines of every form."""

import json
import math
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.unit.fuzzed_files import NUMBERS, Table, Written, broken, packed, seldom, tables

VALUES: list[tuple[Any, list[str]]] = [
    (7, ["7"]),
    (2**53 + 1, [str(2**53 + 1)]),
    (2**70, [str(2**70)]),
    (1.5, ["1.5"]),
    (2.0, ["2.0"]),
    (-0.0, ["-0.0"]),
    (1e22, ["1e+22", "1e22"]),
    (True, ["True", "true"]),
    (False, ["False", "false"]),
    (None, []),
    (["text"], []),
    ({"text": "a"}, []),
    ([], []),
    ({}, []),
    (float("nan"), []),
    ("\ud800 alone", []),
]
"""Values of JSON, and how people write them as texts; none for what is no text."""
NO_SPLITS: list[Any] = [["train"], {"train": 1}, 1, 0.5, True, [], "Train"]
NO_NUMBERS: list[Any] = [10**400, -(10**400), math.inf, math.nan, [1], {}, "one"]
NO_OBJECTS = [
    "[1, 2]",
    "7",
    '"text"',
    "null",
    "{",
    "{'a': 1}",
    "{}",
    '{"text": "a"} {"text": "b"}',
    "text,label",
    '{"a": 1},',
    "\0",
]


@st.composite
def jsonl_files(draw: st.DrawFn) -> Written:
    """A file of JSON lines, and perhaps a second one with the validation rows."""
    table = draw(tables())
    columns: dict[str, list[Any]] = dict(table.columns())
    if "split" in table.names and table.rows and seldom(draw, 8):
        columns[table.names["split"]][draw(st.integers(0, len(table.rows) - 1))] = draw(st.sampled_from(NO_SPLITS))
        table.verdicts["split"] = "refused"
    if table.number and seldom(draw, 2):
        _plain_numbers(draw, table, columns[table.names["label"]])
    same = _other_values(draw, table, columns) if seldom(draw, 2) and table.rows else {}
    more = None
    if "split" not in table.names and seldom(draw, 4):
        second = draw(tables(second=True, like=table))
        more = second.written(_bytes(draw, second, dict(second.columns())), ".jsonl", "jsonl")
        table.verdicts |= second.verdicts
    content = packed(draw, broken(draw, table, _bytes(draw, table, columns)))
    suffix = draw(st.sampled_from([".jsonl", ".jsonl", ".ndjson", ".json", ""]))
    return table.written(content, suffix, "jsonl", same=same, more=more)


def _plain_numbers(draw: st.DrawFn, table: Table, labels: list[Any]) -> None:
    """Write numbers without quotes, and perhaps one that is none."""
    for place, row in enumerate(table.rows):
        if row.label in NUMBERS:
            labels[place] = int(row.label) if row.label.lstrip("+-").isdigit() else float(row.label)
    if table.rows and seldom(draw, 4):
        labels[draw(st.integers(0, len(labels) - 1))] = draw(st.sampled_from(NO_NUMBERS))
        table.verdicts["no number"] = "refused"


def _other_values(draw: st.DrawFn, table: Table, columns: dict[str, list[Any]]) -> dict[str, str]:
    """Put numbers and the like into a column of texts, here and there or everywhere."""
    part = draw(st.sampled_from(sorted(name for name in table.names if name.startswith("text"))))
    whole = draw(st.booleans())
    same: dict[str, str] = {}
    for place in range(len(table.rows)) if whole else draw(st.lists(st.integers(0, len(table.rows) - 1), max_size=3)):
        value, ways = draw(st.sampled_from(VALUES[:9] if whole else VALUES))
        columns[table.names[part]][place] = value
        texts = list(table.rows[place].texts)
        texts[part == "text_b"] = ways[0] if ways else None
        table.rows[place] = replace(table.rows[place], texts=tuple(texts))
        table.verdicts["values"] = "either"
        if not ways:
            table.verdicts["no text"] = "refused"
        table.bad_rows.clear()
        same |= dict.fromkeys(ways[1:], ways[0]) if ways else {}
    if all(None not in row.texts for row in table.rows):  # the row without a text has one now
        table.verdicts.pop("no text", None)
    return same


def _bytes(draw: st.DrawFn, table: Table, columns: dict[str, list[Any]]) -> bytes:
    plain, spaced = draw(st.booleans()), draw(st.booleans())
    empty = draw(st.sampled_from(["null", "absent", "empty"]))
    separators = (" , ", " : ") if spaced else (",", ":")
    names = list(draw(st.permutations(sorted(columns))))
    extra = draw(st.sampled_from([None, None, "id", "created_at", "", "🙂"]).filter(lambda name: name not in names))
    lines = []
    for place in range(len(table.rows)):
        values = {name: columns[name][place] for name in (names if place % 3 else reversed(names))}
        if empty != "null":
            values = {name: value for name, value in values.items() if value is not None or empty == "empty"}
        values = (
            {name: "" if value is None else value for name, value in values.items()} if empty == "empty" else values
        )
        if extra is not None and place % 4 == 0:
            values[extra] = draw(st.sampled_from([1, "x", None, [1], {"a": [None]}, 1.5]))
        lines.append(json.dumps(values, ensure_ascii=plain or _holds_surrogate(values), separators=separators))
    if seldom(draw, 10):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(NO_OBJECTS)))
        table.verdicts["a line that is no row"] = "refused"
    if seldom(draw, 8):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", "  ", "\t"])))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = end.join(lines) + draw(st.sampled_from([end, end, "", end + end]))
    if seldom(draw, 10):
        text, table.verdicts["one list"] = f"[{','.join(lines)}]", "either"
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16"]))
    return text.encode(encoding)


def _holds_surrogate(values: dict[str, Any]) -> bool:
    return any(isinstance(value, str) and "\ud800" in value for value in values.values())
