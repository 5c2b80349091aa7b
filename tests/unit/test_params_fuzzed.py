"""Parameter files that are wrong in any way end in one clear line, never in a traceback: a thousand of them, drawn anew
from the default file and from arbitrary YAML."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fuzzed import cases, refusal

from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params, parse_params

DEFAULTS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
WORDS = st.sampled_from(
    [
        "none",
        "kd",
        "minilm-l3",
        "minilm-l6",
        "docs-topic",
        "path:.",
        "hub:a/b",
        "csv:",
        "new:resnet-8",
        "../..",
        "~",
        "a b",
        "🙂",
    ]
)
NUMBERS = st.integers(-3, 40) | st.integers() | st.floats() | st.sampled_from([1e-9, 1e300])
LEAVES = st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every value in a nested one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [above] if above else []
    for key, inner in items:
        found += paths(inner, (*above, key))
    return found


PLACES = paths(DEFAULTS)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """The default parameters with one to three values replaced, removed, or given a neighbour."""
    values: dict[str, Any] = copy.deepcopy(DEFAULTS)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(PLACES))
        holder: Any = values
        for step in way:
            holder = holder[step] if _has(holder, step) else None
        if not _has(holder, last):
            continue
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace":
            holder[last] = draw(VALUES)
        elif action == "remove":
            del holder[last]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=12))] = draw(VALUES)
    return values


def _has(holder: Any, key: Any) -> bool:
    if isinstance(holder, list):
        return isinstance(key, int) and key < len(holder)
    return isinstance(holder, dict) and key in holder


@cases(500)
@given(values=spoilt())
def test_changed_defaults_are_planned_or_refused_in_one_line(values: dict[str, Any]) -> None:
    refusal(lambda: expand(parse_params(values, origin="fuzzed.yaml")))


@cases(500)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_no_parameter_file(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(data)
    said = refusal(lambda: load_params([path]))
    assert said is not None, f"accepted: {data!r}"
    assert "fuzzed.yaml" in said
