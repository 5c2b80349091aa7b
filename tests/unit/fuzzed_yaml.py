"""YAML files drawn by hypothesis: settings with known values, in every way to write them, and lines that are wrong."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st
from tests.unit.fuzzed_files import seldom

PLAIN = re.compile(r"[A-Za-z][A-Za-z._-]*( [A-Za-z._-]+)*")
READ_AS_VALUES = {"yes", "no", "on", "off", "true", "false", "null", "y", "n", "nan", "inf", "none"}
STRINGS = [
    "text", "my text", "a: b", "a #b", "- a", "yes", "No", "null", "~", "1", "010", "1e3", "0x1f", "1:30",
    "2020-01-01", "it's", 'say "so"', "[a]", "{a}", "*a", "&a", "!a", "%a", "@a", "`a`", "🙂", "é", "a, b",
    "back\\slash", "<<", "=", "a\tb", " a", "a ", ".inf", ".nan", "?", ":", "-", "a:b", "https://a.b/c#d", "\u2028",
    "\ufeffa", "a|b", ">", "...",
]  # fmt: skip
RATES = [0.001, 2e-05, 0.5, 1.0, 3e-4, 1e-10]
ODD_LINES = [
    "\tgrid: {}", "grid: [", "a: b: c", "grid: {name: x}}", "- a", "]", "data: *nothing", "data: &a [*a]",
    "data: &a {seed: *a}", "data: {seed: 2020-13-45}", "data: {seed: !!int ''}", "data: {seed: !!float x}",
    "data: {seed: !!timestamp x}", "data: {seed: !!binary '='}", "data: !!python/object/apply:os.getcwd []",
    "data: !mine {}", "data: !!set {seed}", "data: !!omap [seed: 1]", "data: {[1]: 2}", "data: {{a: 1}: 2}", "1: 2",
    "null: 2", "true: 2", "2020-01-01: 2", "1.5: 2", ".inf: 2", "<<: 5", "<<: [1]", "<<: *a",
    "data: {<<: [1, {seed: 2}]}", "=: 1", "data: {seed: =}", "---\ngrid: {}", "--- a", "...", "%YAML 9.9", "%TAG ! a",
    "? a", "? [a\n", "data: {seed: .inf}", "data: {seed: -.INF}", "data: {seed: .nan}",
    "training: {learning_rate: .inf}", "training: {learning_rate: 1e999}", "data: {seed: 190:20:30}",
    "data: {seed: 0o17}", "data: {seed: 017}", "data: {seed: 0x}", "data: {seed: 0b}", "data: {seed: 1__0}",
    "data: {seed: _}", "data: {seed: +}", "data: {seed: yes}", "data: {seed: 1.0}", "data: {seed: '1'}",
    "training: {epochs: on}", "data: |", "data: >-\n  a", "data: !!str", "data: {seed: " + "9" * 5000 + "}",
    "data: {seed: 1e" + "9" * 400 + "}", "[" * 500, "{a: " * 500, "data: " + "- " * 1500, "a" * 2000 + ": 1",
    "data: \0", "data: \x07", "data: \x85", "data: \ud800", "data: 'a\n\n", 'data: "\\q"', 'data: "\\ud800"',
    'data: "\\U99999999"', "grid:", "data:", "grid: ~", "tasks: {a: }", "tasks: {? : 1}", "tasks: {'': {}}",
    "teachers: []", "@a: 1", "`a`: 1", "data: @a", "&a : 1", "*a : 1", "!!map {}", "!!null : 1",
    "data: {seed: 1, seed: 2}", "data: {seed: 1}\ndata: {seed: 2}",
]  # fmt: skip


@dataclass(frozen=True)
class YamlFile:
    """A file, and the settings in it."""

    content: bytes
    values: dict[str, Any]
    verdict: Literal["taken", "unknown"]


@st.composite
def settings_values(draw: st.DrawFn) -> dict[str, Any]:
    """Settings that every grid may state."""
    words = st.sampled_from(STRINGS)
    columns = draw(st.lists(words, min_size=2, max_size=4, unique=True))
    labels = draw(
        st.lists(
            words.filter(lambda word: "\u2028" not in word and "\t" not in word), min_size=2, max_size=4, unique=True
        )
    )
    task = {"source": "csv:rows " + draw(words), "text": columns[1:][:2], "label": columns[0], "labels": labels}
    rates = {"learning_rate": draw(st.sampled_from(RATES)), "epochs": draw(st.integers(1, 99))}
    data = {"max_train_rows": draw(st.none() | st.integers(2, 10**9)), "seed": draw(st.integers(0, 2**31))}
    training = rates | {"decay_vectors": draw(st.booleans()), "patience": draw(st.none() | st.integers(1, 9))}
    whole = {
        "data": data,
        "training": training,
        "tasks": {"mine": task},
        "grid": {"seeds": [draw(st.integers(0, 999))]},
    }
    return {name: whole[name] for name in draw(st.permutations(sorted(whole)))[: draw(st.integers(1, 4))]}


@st.composite
def yaml_files(draw: st.DrawFn) -> YamlFile:
    """A file of settings that are right, or with one line that is not."""
    values = draw(settings_values())
    lines: list[str] = []
    for key, value in values.items():
        lines += _block(draw, key, value, 0)
    verdict: Literal["taken", "unknown"] = "taken"
    if seldom(draw, 3):
        line = draw(st.sampled_from(ODD_LINES))
        lines[:] = [line] if draw(st.booleans()) else _inserted(draw, lines, line)
        verdict = "unknown"
    if seldom(draw, 4):
        lines = _inserted(draw, lines, draw(st.sampled_from(["", "# a comment: [", "   # - more", "   "])))
    if seldom(draw, 6):
        lines.insert(0, "---")
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = end.join(lines) + draw(st.sampled_from([end, end, "", end + end]))
    content = text.encode("utf-8", "surrogatepass")
    if seldom(draw, 10):
        content, verdict = (
            draw(
                st.sampled_from([b"\xef\xbb\xbf" + content, content + b"# caf\xe9", text.encode("utf-16", "replace")])
            ),
            "unknown",
        )
    return YamlFile(content, values, verdict)


def _inserted(draw: st.DrawFn, lines: list[str], line: str) -> list[str]:
    """A line before one that is not within others, or at the end."""
    places = [place for place, each in enumerate(lines) if each[:1].isalpha() or each[:1] in "\"'"]
    place = draw(st.sampled_from([*places, len(lines)]))
    return [*lines[:place], line, *lines[place:]]


def _block(draw: st.DrawFn, key: str, value: Any, depth: int) -> list[str]:
    """A key with its value, in lines of their own or within brackets."""
    pad, name = "  " * depth, _scalar(draw, key)
    comment = draw(st.sampled_from(["", "", "", "  # why", "   "]))
    if isinstance(value, dict) and draw(st.booleans()):
        inner = [line for each, its in value.items() for line in _block(draw, each, its, depth + 1)]
        return [f"{pad}{name}:{comment}", *inner]
    if isinstance(value, list) and draw(st.booleans()):
        return [f"{pad}{name}:{comment}", *(f"{pad}  - {_scalar(draw, each)}" for each in value)]
    return [f"{pad}{name}: {_flow(draw, value)}{comment}"]


def _flow(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{_scalar(draw, key, flow=True)}: {_flow(draw, its)}" for key, its in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(draw, each, flow=True) for each in value) + "]"
    return _scalar(draw, value, flow=True)


def _scalar(draw: st.DrawFn, value: Any, *, flow: bool = False) -> str:
    """A value without parts, in one of its spellings."""
    if value is None:
        return draw(st.sampled_from(["null", "~", "Null"]))
    if isinstance(value, bool):
        return draw(st.sampled_from(["true", "True", "TRUE"] if value else ["false", "False", "FALSE"]))
    if isinstance(value, int):
        return draw(st.sampled_from([str(value), str(value), f"+{value}", hex(value)]))
    if isinstance(value, float):
        return draw(st.sampled_from([repr(value), f"{value:.3e}" if float(f"{value:.3e}") == value else repr(value)]))
    ways = [json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\ufeff", "\\uFEFF")]
    if value.isprintable():
        ways.append("'" + value.replace("'", "''") + "'")
    if PLAIN.fullmatch(value) and value.lower() not in READ_AS_VALUES:
        ways += [value, value]
    return draw(st.sampled_from(ways))
