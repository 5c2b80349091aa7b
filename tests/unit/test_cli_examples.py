"""The examples of `--help`: whole at every width of a terminal, and commands that the default parameters suit."""

import functools
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from tests.conftest import ROOT
from tests.unit.command_line import Run
from typer.testing import CliRunner

import distilgrid
from distilgrid.cli.app import app
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Stage
from distilgrid.plan.expand import expand
from distilgrid.plan.params import Params, load_params
from distilgrid.stages.table import STAGES

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
WIDTHS = (20, 40, 80, 200)
LIGHT = ("where", "plan", "schema")  # run here; the others need what a grid has made, or change files


@functools.cache
def help_of(name: str, width: int) -> str:
    """The help of a command in a terminal of some columns."""
    environment = {"COLUMNS": str(width)}
    shown = CliRunner().invoke(app, [name, "--help"] if name else ["--help"], env=environment)
    assert shown.exit_code == 0
    return shown.output


def example(name: str) -> str:
    """The example as it is pasted from the help."""
    (line,) = re.findall(r"Example: (distilgrid.*)", help_of(name, 80))
    return str(line)


def given(name: str) -> dict[str, Any]:
    """The options of the example, as the command's function gets them."""
    words = shlex.split(example(name))
    assert words[:2] == ["distilgrid", name]
    found: dict[str, Any] = COMMANDS[name].make_context(name, words[2:]).params
    return found


def params_of(options: dict[str, Any]) -> Params:
    """The default parameters with the overlays of the example."""
    assert options.get("params", [Path("params.yaml")]) == [Path("params.yaml")]
    return load_params([ROOT / "params.yaml", *(options.get("grid") or [])])


# At any width ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_example_is_one_line_at_any_width(name: str) -> None:
    lines = {width: [line.strip() for line in help_of(name, width).splitlines()] for width in WIDTHS}
    for shown in lines.values():
        assert shown[-1] == f"Example: {example(name)}"
    assert example(name).isascii(), "quotes and dashes are those of a shell"


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_no_path_or_name_is_broken_at_any_width(name: str) -> None:
    words = set(help_of(name, 200).split())
    for width in WIDTHS:
        assert set(help_of(name, width).split()) == words


# Options of the command line itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], *([name] for name in sorted(COMMANDS))], ids="".join)
def test_h_is_help(words: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0
    assert short.output == long.output


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version") == (0, f"distilgrid {distilgrid.__version__}\n", "")
    assert "--version" in run("--help")[1]


# On the default parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_example_names_what_is_there(name: str) -> None:
    """Overlays, tasks, teachers and devices exist, and the grid expands."""
    options = given(name)
    params = params_of(options)
    if "task" in options and name not in STAGES:
        assert options["task"] in params.grid.tasks
    for overlay in [value for value in (options.get("a"), options.get("b")) if value]:
        expand(load_params([ROOT / "params.yaml", ROOT / overlay]))


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"report"}))
def test_the_recipe_of_a_stages_example_is_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    stage, options = STAGES[name], given(name)
    params = params_of(options)
    chosen = {each.name: options[each.name.replace("-", "_")] for each in stage.options}
    recipe = stage.made_from(stage.settings(params, chosen), stage.keys(stand_ins(stage, options)))
    assert recipe["stage"] == name


def stand_ins(stage: Stage, options: dict[str, Any]) -> dict[str, list[Artefact]]:
    """An artefact for each input of an example."""
    found: dict[str, list[Artefact]] = {}
    for each in stage.inputs:
        folders = options[each.name.replace("-", "_")] or []
        paths = folders if isinstance(folders, list) else [folders]
        found[each.name] = [made(each.stages[0], path) for path in paths]
    return found


def made(stage: str, path: Path) -> Artefact:
    return Artefact(stage=stage, location=str(path), recipe={"stage": stage, "of": str(path)}, files=())


def test_the_stages_examples_follow_from_each_other() -> None:
    """Each input is the output of an example of the right stage, and no two examples write one folder."""
    outputs = {given(name)["out"]: name for name in STAGES}
    assert len(outputs) == len(STAGES)
    for name, stage in STAGES.items():
        options = given(name)
        for each in stage.inputs:
            folders = [] if stage.finds_inputs else options[each.name.replace("-", "_")] or []
            for folder in folders if isinstance(folders, list) else [folders]:
                assert outputs[folder] in each.stages, f"{name}: {folder} is made by {outputs[folder]}"


@pytest.fixture
def defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which holds the default parameters and nothing else."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("defaults")
@pytest.mark.parametrize("name", LIGHT)
def test_a_light_example_runs_as_written(run: Run, name: str) -> None:
    code, _, errors = run(*shlex.split(example(name))[1:])
    assert code == 0, errors


def test_the_example_of_gc_deletes_nothing(run: Run, defaults: Path) -> None:
    other = defaults / "results" / "students" / "other" / "seed-0-0123456789ab"
    other.mkdir(parents=True)
    code, said, errors = run(*shlex.split(example("gc"))[1:])
    assert code == 0, errors
    assert str(other.relative_to(defaults)) in said
    assert other.is_dir()


# Scratch folders ------------------------------------------------------------------------------------------------------


def scratch() -> set[str]:
    """Where examples of the help and of the documents write, below the current folder."""
    written = {str(given(name)["out"]) for name in COMMANDS if given(name).get("out")}
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for path in documents:
        written.update(re.findall(r"--out ([a-z0-9][\w./-]*)", path.read_text()))
    committed = {path for path in written if (ROOT / path).is_file()}  # such as the schema of the parameters
    return {*written, str(given("init")["folder"])} - committed


def new_projects() -> str:
    """The .gitignore of a new project."""
    texts = yaml.safe_load((ROOT / "src/distilgrid/workflow/new_project.yaml").read_text())
    return str(texts["files"][".gitignore"])


@pytest.mark.parametrize("ignored", [(ROOT / ".gitignore").read_text(), new_projects()], ids=["checkout", "project"])
def test_git_ignores_what_the_examples_write(ignored: str, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text(ignored)
    written = sorted(scratch())
    assert {"work/data", "mygrid"} <= set(written)
    for path in written:
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / path / "file").touch()
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    said = subprocess.run([*git, "status", "--short"], check=True, capture_output=True, text=True).stdout
    assert said == "?? .gitignore\n"
