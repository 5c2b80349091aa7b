"""YAML files of any kind: settings arrive as they were written, or the file is refused in one clear line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fuzzed import cases, refusal
from tests.unit.fuzzed_values import spoilt
from tests.unit.fuzzed_yaml import ODD_LINES, YamlFile, yaml_files

from distilgrid.core.schema import deep_merge
from distilgrid.devices.settings import load_device
from distilgrid.plan.params import Params, load_params, parse_params
from distilgrid.reporting.claims.file import load_claims
from distilgrid.search.space import load_space

DEFAULTS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
OTHERS: dict[str, Callable[[Path], object]] = {
    "grids/annealing_kd.claims.yaml": load_claims,
    "grids/kd_nas.claims.yaml": load_claims,
    "grids/spaces/compiler_aware.yaml": load_space,
    "grids/spaces/minilm.yaml": load_space,
    "devices/android.yaml": lambda path: load_device(path.stem, folder=path.parent),
    "devices/local-cpu.yaml": lambda path: load_device(path.stem, folder=path.parent),
}


@cases(40)
@given(file=yaml_files())
def test_settings_arrive_as_written_or_are_refused(file: YamlFile, tmp_path_factory: pytest.TempPathFactory) -> None:
    examine(file, tmp_path_factory.getbasetemp() / "fuzzed.yaml")


@pytest.mark.slow
@cases(400)
@given(file=yaml_files())
def test_settings_of_many_files_arrive_or_are_refused(file: YamlFile, tmp_path_factory: pytest.TempPathFactory) -> None:
    examine(file, tmp_path_factory.getbasetemp() / "fuzzed.yaml")


def examine(file: YamlFile, path: Path) -> None:
    path.write_bytes(file.content)
    files = ["params.yaml", path]
    found: list[Params] = []
    said = refusal(lambda: found.append(load_params(files)))
    assert said is None or "fuzzed.yaml" in said, said
    if file.verdict == "taken":
        assert said is None, said
        assert found == [parse_params(deep_merge(DEFAULTS, file.values), origin="values")]


def test_each_odd_line_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "fuzzed.yaml"
    for line in ODD_LINES:
        path.write_bytes(f"{line}\n".encode("utf-8", "surrogatepass"))
        said = refusal(lambda: load_params([path]))
        assert said is None or "fuzzed.yaml" in said, said


@pytest.mark.parametrize("name", OTHERS)
@cases(10)
@given(data=st.data())
def test_other_yaml_files_are_read_or_refused(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = data.draw(spoilt(yaml.safe_load(Path(name).read_text(encoding="utf-8"))))
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    for published in Path("grids").glob("*.expected.csv"):
        shutil.copy(published, path.parent)
    said = refusal(lambda: OTHERS[name](path))
    assert said is None or "fuzzed.yaml" in said or ".csv" in said, said
