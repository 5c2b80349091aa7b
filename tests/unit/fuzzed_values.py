"""Nested settings drawn by hypothesis: right ones with a few values changed."""

import copy
from typing import Any

from hypothesis import strategies as st

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


@st.composite
def spoilt(draw: st.DrawFn, defaults: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with one to three values replaced, removed, or given a neighbour."""
    values, places = copy.deepcopy(defaults), paths(defaults)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places))
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
