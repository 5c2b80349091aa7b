"""The command line: light help with examples, one clear line for bad input, a plan whose commands run."""

import inspect
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main
import yaml
from tests.unit.command_line import Run, one_line
from typer.testing import CliRunner

from distilgrid.cli import support as cli_support
from distilgrid.cli.app import COMMANDS as GROUPS
from distilgrid.cli.app import app
from distilgrid.core.artefacts import verified
from distilgrid.core.fingerprint import recipe_key
from distilgrid.jobs.doctor import Check
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params, schema_text
from distilgrid.stages.table import STAGES

Values = dict[str, Any]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SOURCE = Path(__file__).parents[2] / "src"


def written(folder: Path, values: Values) -> Path:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a command, as its function would get them."""
    return COMMANDS[words[0]].make_context(words[0], words[1:]).params


# Help -----------------------------------------------------------------------------------------------------------------


def test_there_is_a_command_for_every_stage() -> None:
    assert STAGES.keys() | {"plan", "track", "gc", "doctor", "schema", "publish"} <= COMMANDS.keys()


def test_every_command_is_one_line_of_80_columns() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    listed = [line.split() for line in shown.splitlines() if line.startswith("  ")]
    names = [words[0] for words in listed if words[0] in COMMANDS]
    assert sorted(names) == sorted(COMMANDS)
    assert max(map(len, shown.splitlines())) <= 80
    for line in shown.split("Make a grid:")[1].splitlines():
        assert not line.startswith("   "), f"a line is broken: {line}"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_describes_every_option_and_shows_an_example_that_parses(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Example: distilgrid {name}" in shown.output
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), f"--{parameter.name} has no help"
    example = (COMMANDS[name].epilog or "").partition("Example: ")[2].partition(" && ")[0]
    parsed(shlex.split(example)[1:])


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from distilgrid.cli.app import app\n"
        "codes = [CliRunner().invoke(app, [*name.split(), '--help']).exit_code for name in sys.argv[1:]]\n"
        "heavy = {'torch', 'numpy', 'pandas', 'transformers', 'mlflow', 'yaml'} & set(sys.modules)\n"
        "print(codes, sorted(heavy))\n"
    )
    command = [sys.executable, "-c", program, "", *sorted(COMMANDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == f"{[0] * (len(COMMANDS) + 1)} []", done.stderr


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}

    def module(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "distilgrid", *words]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60}
        return subprocess.run(command, check=False, cwd=tmp_path, env=environment, **options)

    shown, refused = module("--help"), module("plan")
    assert shown.returncode == 0
    assert "distilgrid" in shown.stdout
    assert "params.yaml" in one_line((refused.returncode, refused.stdout, refused.stderr))


# Bad input ------------------------------------------------------------------------------------------------------------


def set_value(dotted: str, value: object) -> Callable[[Values], None]:
    def change(values: Values) -> None:
        *above, last = dotted.split(".")
        for part in above:
            values = values[part]
        values[last] = value

    return change


@pytest.mark.parametrize(
    "command", [["plan"], ["gc"], ["prepare", "--task", "reviews", "--out", "x"]], ids=lambda c: c[0]
)
@pytest.mark.parametrize(
    ("dotted", "value", "said"),
    [
        ("training.epoch", 3, "training.epoch: unknown key; did you mean 'epochs'?"),
        ("grid.methods", ["pdk"], "unknown method 'pdk'; did you mean 'pkd'?"),
        ("tasks.reviews.source", "csv:/nowhere/rows.csv", "/nowhere/rows.csv: no such file"),
    ],
)
def test_bad_parameters_end_in_one_line(
    run: Run, tmp_path: Path, tiny_values: Values, command: list[str], dotted: str, value: object, said: str
) -> None:
    set_value(dotted, value)(tiny_values)
    path = written(tmp_path, tiny_values)
    assert said in one_line(run(*command, "--params", path))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hub:org/model@main", "pin a revision"),
        ("package:no-such-model-package", "not installed"),
        ("path:/nowhere", "no config.json"),
        ("bert", "must start with one of"),
    ],
)
def test_a_bad_model_source_ends_in_one_line(
    run: Run, tmp_path: Path, tiny_values: Values, source: str, said: str
) -> None:
    set_value("teachers.tiny.source", source)(tiny_values)
    assert said in one_line(run("plan", "--params", written(tmp_path, tiny_values)))


@pytest.mark.parametrize(
    ("rows", "spec", "said"),
    [
        ("text,label\na,x\n", {}, "no column 'sentiment'"),
        ("text,sentiment\n", {}, "no rows"),
        ("", {}, "cannot be read as a table"),
        ("text,sentiment\na,x\nb,y\n,x\n", {}, "row 3: column 'text' is empty"),
        ("text,sentiment\na,x\nb,y\nc,\n", {}, "row 3: column 'sentiment' is empty"),
        ("text,sentiment\na,x\nb,x\n", {}, "1 label(s)"),
        ("text,sentiment\na,x\nb,y\n", {"labels": ["x", "z"]}, "row 2: label 'y' is outside the set"),
        ("text,sentiment,part\na,x,train\nb,y,tran\n", {"split_column": "part"}, "tran"),
        ("text,sentiment\na,1\nb,much\n", {"kind": "number", "metrics": ["pearson"]}, "row 2: label 'much'"),
    ],
)
def test_bad_rows_end_in_one_line(
    run: Run, tmp_path: Path, tiny_values: Values, rows: str, spec: Values, said: str
) -> None:
    (tmp_path / "rows.csv").write_text(rows)
    tiny_values["tasks"]["reviews"] |= {"source": f"csv:{tmp_path}/rows.csv", **spec}
    path = written(tmp_path, tiny_values)
    complaint = one_line(run("prepare", "--task", "reviews", "--out", tmp_path / "out", "--params", path))
    assert said in complaint
    assert str(tmp_path / "rows.csv") in complaint


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--teacher", "tinny", "--teacher: unknown teacher 'tinny'; did you mean 'tiny'?"),
        ("--method", "pdk", "--method: unknown method 'pdk'; did you mean 'pkd'?"),
        ("--student", "halve", "--student: unknown student 'halve'; did you mean 'half'?"),
        ("--data", "absent", "absent: no such folder"),
    ],
)
def test_an_unknown_name_ends_in_one_line(
    run: Run, tmp_path: Path, tiny_params_file: Path, option: str, value: str, said: str
) -> None:
    options = {"--task": "reviews", "--teacher": "tiny", "--method": "kd", "--student": "half", "--data": "nowhere"}
    words = [word for pair in {**options, option: value}.items() for word in pair]
    assert said in one_line(run("distill", *words, "--out", tmp_path / "out", "--params", tiny_params_file))


def test_an_unknown_task_ends_in_one_line(run: Run, tmp_path: Path, tiny_params_file: Path) -> None:
    words = ["--task", "revews", "--out", tmp_path / "out", "--params", tiny_params_file]
    assert "did you mean 'reviews'?" in one_line(run("prepare", *words))


def test_damaged_inputs_end_in_one_line(
    run: Run, tmp_path: Path, tiny_values: Values, tiny_model: Path, tiny_params_file: Path
) -> None:
    data = tmp_path / "data"
    assert run("prepare", "--task", "reviews", "--out", data, "--params", tiny_params_file)[0] == 0
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:1000])
    set_value("teachers.tiny.source", f"path:{model}")(tiny_values)
    words = ["finetune", "--task", "reviews", "--teacher", "tiny", "--data", data, "--out", tmp_path / "teacher"]
    assert str(model) in one_line(run(*words, "--params", written(tmp_path, tiny_values)))

    (data / "train.parquet").write_bytes((data / "train.parquet").read_bytes()[:-5])
    assert str(data / "train.parquet") in one_line(run(*words, "--params", tiny_params_file))


def test_a_wrong_place_for_results_ends_in_one_line(run: Run, tmp_path: Path, tiny_params_file: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "data", tmp_path / "reviews-0123456789ab"):
        words = ["prepare", "--task", "reviews", "--out", out, "--params", tiny_params_file]
        assert str(tmp_path) in one_line(run(*words))
    assert str(tmp_path / "file") in one_line(run("schema", "--out", tmp_path / "file" / "schema.json"))


def test_an_estimate_wants_a_core(run: Run, tiny_params_file: Path) -> None:
    code, _, errors = run("plan", "--params", str(tiny_params_file), "--cores", "-3")
    assert code == 2
    assert "--cores" in errors


def test_every_number_of_the_command_line_has_a_bound() -> None:
    unbound, count = set(), 0
    for function in (each for group in GROUPS.values() for each in group):
        for name, parameter in inspect.signature(function).parameters.items():
            kind, info, *_ = (*get_args(parameter.annotation), None, None)
            if {int, float} & {kind, *get_args(kind)}:
                count += 1
                unbound |= {f"{function.__name__} {name}"} if info.min is None else set()
    assert count > 20
    assert unbound == {"choose max_loss"}  # refused by its own line


@pytest.mark.parametrize(
    "words",
    [
        ("finetune", "--threads", "0"),
        ("record", "--threads", "-1"),
        ("finetune", "--threads", "100000000000"),
        ("distill", "--seed", "4294967296"),
        ("search", "--seed", "4294967296"),
        ("distill", "--seed", "-1"),
        ("search", "--seed", "-1"),
        ("candidate", "--episode", "-1"),
        ("record", "--fraction", "nan"),
        ("distill", "--fraction", "inf"),
        ("verify", "--tolerance", "nan"),
        ("verify", "--tolerance", "inf"),
        ("verify", "--seed", "-1"),
        ("register", "--seed", "-1"),
        ("plan", "--cores", "0"),
    ],
)
def test_a_number_out_of_bounds_is_refused(run: Run, words: tuple[str, ...]) -> None:
    code, _, errors = run(*words)
    assert code == 2 and f"Invalid value for '{words[1]}'" in errors


def test_an_interrupted_command_says_so_by_its_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_support, "load", interrupted)
    assert run("plan")[0] == 130


# What the commands do -------------------------------------------------------------------------------------------------


def test_prepare_makes_the_planned_artefact(run: Run, tmp_path: Path, tiny_params_file: Path) -> None:
    artefact = expand(load_params([tiny_params_file])).data["reviews"]
    words = shlex.split(artefact.arguments(str(tmp_path)))
    assert run("prepare", "--params", tiny_params_file, *words)[0] == 0
    assert verified(tmp_path / artefact.folder, stage="prepare")["recipe"] == artefact.recipe
    assert {path.name for path in (tmp_path / artefact.folder).iterdir()} >= set(artefact.files)
    assert f"done   {artefact.folder}" in run("plan", "--params", tiny_params_file, "--results", tmp_path)[1]


def test_the_plan_prints_a_command_for_every_artefact(run: Run, tmp_path: Path, tiny_params_file: Path) -> None:
    (tmp_path / "over lay.yaml").write_text("grid: {seeds: [3]}\n")
    files = ["--params", tiny_params_file, "--grid", tmp_path / "over lay.yaml", "--results", tmp_path / "my results"]
    code, output, _ = run("plan", *files, "--commands")
    plan = expand(load_params([tiny_params_file, tmp_path / "over lay.yaml"]))
    assert code == 0
    lines = [shlex.split(line) for line in output.splitlines()]
    assert [line[0] for line in lines] == ["distilgrid"] * len(plan.artefacts)
    for line, artefact in zip(lines, plan.artefacts.values(), strict=True):
        options = parsed(line[1:])
        assert line[1] == artefact.stage
        assert options["out"] == tmp_path / "my results" / artefact.folder
        assert options["params"] == [tiny_params_file, tmp_path / "over lay.yaml"]
        for name, source in artefact.inputs.items():
            if artefact.stage == "report":
                assert options["results"] == tmp_path / "my results"
                continue
            folders = [tmp_path / "my results" / a.folder for a in (source if isinstance(source, list) else [source])]
            assert options[name.replace("-", "_")] == (folders if isinstance(source, list) else folders[0])


def test_the_printed_options_make_the_planned_keys(tmp_path: Path, tiny_values: Values) -> None:
    tiny_values["grid"]["fractions"] = [1 / 3, 0.0123456789, 1]
    settings = load_params([written(tmp_path, tiny_values)])
    for artefact in expand(settings).artefacts.values():
        stage = STAGES[artefact.stage]
        given = parsed([stage.name, *shlex.split(artefact.arguments("results"))])
        options = {option.name: given[option.name.replace("-", "_")] for option in stage.options}
        recipe = stage.made_from(stage.settings(settings, options), stage.keys(artefact.inputs))
        assert recipe_key(recipe) == artefact.key


def test_the_schema_is_written_to_a_file_or_printed(run: Run, tmp_path: Path) -> None:
    assert run("schema", "--out", tmp_path / "new" / "schema.json")[0] == 0
    assert (tmp_path / "new" / "schema.json").read_text() == run("schema")[1] == schema_text()


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("fail", 1)])
def test_the_doctor_fails_only_on_failures(run: Run, monkeypatch: pytest.MonkeyPatch, state: Any, code: int) -> None:
    monkeypatch.setattr("distilgrid.jobs.doctor.examine", lambda: [Check("disk", state, "2 GiB", "free some")])
    assert run("doctor")[:2] == (code, f"{state:4}  disk: 2 GiB - free some\n")


def test_a_folder_in_place_of_a_file_is_one_line(run: Run, tmp_path: Path) -> None:
    code, _, said = run("schema", "--out", tmp_path)
    assert code == 2
    assert said == f"distilgrid: {tmp_path}: a folder is where a file is wanted; name a file in it\n"
