"""Files that ship with the package, and new projects: what is found where, what `distilgrid init` writes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT
from tests.unit.command_line import Run, one_line

from distilgrid import __version__
from distilgrid.core.project import located, packaged
from distilgrid.devices.settings import LocalDevice, load_device
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params
from distilgrid.reporting.claims.file import load_claims
from distilgrid.search.space import load_space


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that is no checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_source_tree_has_the_files_at_its_root() -> None:
    assert packaged("grids/glue_mini.yaml") == ROOT / "grids/glue_mini.yaml"


def test_a_wheel_has_them_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distilgrid.core.project.PACKED", tmp_path)
    assert packaged("params.yaml") == tmp_path / "params.yaml"


def test_the_projects_own_file_comes_first(elsewhere: Path) -> None:
    assert located("grids/glue_mini.yaml") == ROOT / "grids/glue_mini.yaml"
    (elsewhere / "grids").mkdir()
    (elsewhere / "grids/glue_mini.yaml").write_text("{}")
    assert located("grids/glue_mini.yaml") == Path("grids/glue_mini.yaml")


@pytest.mark.parametrize("name", ["params.yaml", "grids/none.yaml", "grids/../params.yaml", "mine/glue_mini.yaml"])
def test_other_names_mean_what_they_say(elsewhere: Path, name: str) -> None:
    assert located(name) == Path(name)


def test_grids_spaces_claims_and_devices_need_no_checkout(elsewhere: Path) -> None:
    params = load_params([ROOT / "params.yaml", "grids/mixkd_mini.yaml"])
    assert load_claims("grids/mixkd.claims.yaml", params=params).published
    assert load_space("grids/spaces/minilm.yaml").size
    assert load_device("local-cpu-2") == LocalDevice(threads=[1, 2])
    (elsewhere / "devices").mkdir()
    (elsewhere / "devices/local-cpu-2.yaml").write_text("kind: local\nthreads: [3]\n")
    assert load_device("local-cpu-2") == LocalDevice(threads=[3])


def test_where_prints_paths(run: Run) -> None:
    assert run("where", "grids")[1].strip() == str(ROOT / "grids")
    assert "grids/nix.yaml: no such file ships" in one_line(run("where", "grids/nix.yaml"))


# New projects.


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    return values


def test_a_new_project_holds_a_small_grid(run: Run, elsewhere: Path) -> None:
    code, said, _ = run("init", "mygrid")
    assert code == 0
    assert "cd mygrid && distilgrid plan && snakemake --cores 2" in said
    plan = expand(load_params([elsewhere / "mygrid/params.yaml"]))
    assert plan.params.grid.name == "mygrid"
    assert len(plan.students) == 4  # as the message says
    assert len((elsewhere / "mygrid/README.md").read_text().splitlines()) == 10


def test_dvc_depends_on_the_version_of_the_package(run: Run, elsewhere: Path) -> None:
    run("init", "mygrid")
    ours, default = read(elsewhere / "mygrid/dvc.yaml")["stages"], read(ROOT / "dvc.yaml")["stages"]
    assert list(ours) == list(default)
    for name, stage in ours.items():
        assert stage["deps"][-1] == "requirements.txt"
        assert all(path.startswith("results/") for path in stage["deps"][:-1])
        assert stage["outs"] == default[name]["outs"]
    assert f"=={__version__}" in (elsewhere / "mygrid/requirements.txt").read_text()


@pytest.mark.parametrize(("folder", "name"), [("2nd.grid", "2nd.grid"), ("my grid", "mygrid"), ("größe", "mygrid")])
def test_a_folder_names_its_grid_where_it_can(run: Run, elsewhere: Path, folder: str, name: str) -> None:
    assert run("init", folder)[0] == 0
    assert read(elsewhere / folder / "params.yaml")["grid"]["name"] == name


def test_an_empty_folder_or_repository_is_taken(run: Run, elsewhere: Path) -> None:
    (elsewhere / "mygrid/.git").mkdir(parents=True)
    assert run("init", "mygrid")[0] == 0


def test_nothing_is_overwritten(run: Run, elsewhere: Path) -> None:
    (elsewhere / "mygrid").mkdir()
    (elsewhere / "mygrid/notes.txt").write_text("mine")
    assert "mygrid: exists and is not empty; name another folder" in one_line(run("init", "mygrid"))
    assert "is a file; name a folder" in one_line(run("init", "mygrid/notes.txt"))
    assert [path.name for path in (elsewhere / "mygrid").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "words",
    [
        ["choose", "--max-latency", "5ms", "--max-loss", "3"],
        ["choose", "--task", "mine", "--max-latency", "5ms", "--max-loss", "3"],
        ["cards"],
        ["publish"],
        ["register"],
        ["register", "--task", "mine"],
    ],
    ids=" ".join,
)
def test_a_grid_that_was_not_run_is_told_from_the_one_that_was(elsewhere: Path, run: Run, words: list[str]) -> None:
    """Somebody ran `grids/tiny.yaml`, and names no grid now: these commands then mean that of `params.yaml`."""
    (elsewhere / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (elsewhere / "results/reports/tiny-0123456789ab").mkdir(parents=True)
    said = one_line(run(*words))
    assert "grid 'default'" in said
    assert "or name the file of the one that was run: --grid FILE (it has reports of: tiny)" in said
