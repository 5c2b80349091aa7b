"""Parameter files that are wrong in any way end in one clear line, never in a traceback: a thousand of them, drawn anew
from the default file and from arbitrary YAML."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fuzzed import cases, refusal
from tests.unit.fuzzed_values import spoilt

from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params, parse_params

DEFAULTS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


@cases(500)
@given(values=spoilt(DEFAULTS))
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
