"""YAML that users write: what is refused, with its line, and what counts as which value."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.command_line import Run

from distilgrid.core.errors import UserError
from distilgrid.core.project import parse_yaml, read_yaml, yaml_text
from distilgrid.devices.settings import load_device
from distilgrid.plan.params import load_params
from distilgrid.reporting.claims.file import load_claims
from distilgrid.search.space import load_space

READERS: dict[str, Callable[[Path], Any]] = {
    "parameters": lambda path: load_params([path]),
    "claims": load_claims,
    "space": load_space,
    "device": lambda path: load_device(path.stem, folder=path.parent),
}
"""Everything that opens a YAML file of a user."""


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: {c: 1}\na: 2\n", "line 3: the key 'a' is there twice"),
        ("# first\na:\n  b: 1\n  'b': 2\n", "line 4: the key 'b' is there twice"),
        ("a: [{b: 1, b: 1}]\n", "line 1: the key 'b' is there twice"),
        ("a: &a\n  b: 1\n  b: 2\nc: {<<: *a}\n", "line 3: the key 'b' is there twice"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n  <<: *a\n", "line 4: the key '<<' is there twice"),
        ("'': 1\n'': 2\n", "line 2: the key '' is there twice"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_its_line(
    tmp_path: Path, reader: Callable[[Path], Any], text: str, line: str
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        reader(path)
    assert str(caught.value).startswith(f"{path}: {line}")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "---\n# nothing yet\n...\n", "~\n"])
def test_a_file_without_values_is_empty(tmp_path: Path, text: str, tiny_params_file: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    assert read_yaml(path) == {}
    assert load_params([tiny_params_file, path]) == load_params([tiny_params_file])


def test_a_plan_says_which_overlay_states_nothing(tmp_path: Path, tiny_params_file: Path, run: Run) -> None:
    """Snakemake asks for a key in each file, before it reads any line of ours."""
    path = tmp_path / "own.yaml"
    path.write_text("# nothing yet\n")
    code, _, errors = run("plan", "--params", tiny_params_file, "--grid", path, "--results", tmp_path)
    said = f"{path}: states nothing yet; leave it out of --configfile, as Snakemake refuses it\n"
    assert (code, errors) == (0, said)
    path.write_text("grid: {name: mine}\n")
    assert run("plan", "--params", tiny_params_file, "--grid", path, "--results", tmp_path)[2] == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E3", 5000.0),
        ("010", 10),
        ("0x10", 16),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("true", True),
        ("~", None),
        (".inf", math.inf),
        ("&a {b: 1, c: 2}", {"b": 1, "c": 2}),
        ("{a: &x {b: 1, c: 2}, d: {<<: *x, b: 3}}", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert parse_yaml(text, origin="text") == value


@pytest.mark.parametrize(
    "text",
    [
        "a: 2024-13-45",
        "a: !!int x",
        "a: !!python/object:os.system x",
        "a: *b",
        "a: 1\n---\nb: 2",
        "\ta: 1",
        "a: \0",
        "a: " + "9" * 5000,
        "a: " + "[" * 3000,
    ],
    ids=range(9),
)
def test_odd_yaml_ends_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="not valid YAML") as caught:
        read_yaml(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
WORDS = st.text(max_size=12) | st.sampled_from(
    ["1e-4", "yes", "no", "~", "010", "1_000", "0o7", "2024-01-01", "1:30", "="]
)
VALUES = st.recursive(
    LEAVES | WORDS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(WORDS, VALUES, max_size=4))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_written_values_are_read_back(values: dict[str, Any]) -> None:
    again = parse_yaml(yaml_text(values), origin="text")
    assert again == values
    assert list(again) == list(values)
