"""Commands that are to write where nothing can be made: one line that names the place."""

import errno
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.command_line import Run, one_line
from tests.unit.fabricate import fabricate_results

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError

NOWHERE = ["/proc/x", "/proc/x/y", "/dev/null/x", "file/x", "circle/x"]
"""A file system without files of users, a device, a file and a link that leads to itself."""
pytestmark = pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which nothing can be made")


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of parameters, and the results folder of its grid."""
    plan, results = fabricate_results(tmp_path_factory.mktemp("fabricated"))
    params = results.parent / "fabricated.yaml"
    params.write_text(yaml.safe_dump(plan.params.model_dump(mode="json"), sort_keys=False))
    return params, results


@pytest.fixture
def nowhere(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path / str(request.param)  # an absolute one stays


@pytest.mark.parametrize("nowhere", NOWHERE, indirect=True)
def test_a_project_cannot_be_made_there(nowhere: Path, run: Run) -> None:
    assert str(nowhere.parent) in one_line(run("init", nowhere))


COMMANDS = {
    "schema": [],
    "prepare": ["--task", "reviews"],
    "report": ["--results", "RESULTS"],
    "track": ["--results", "RESULTS", "--uri", "URI"],
    "cards": ["--results", "RESULTS"],
    "choose": ["--results", "RESULTS", "--task", "reviews", "--max-latency", "1s", "--max-loss", "100"],
}


@pytest.mark.parametrize("nowhere", ["/proc/x/y"], indirect=True)
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_can_be_written_there(
    nowhere: Path, command: str, run: Run, fabricated: tuple[Path, Path], tmp_path: Path
) -> None:
    params, results = fabricated
    names: dict[str, Any] = {"RESULTS": results, "URI": f"sqlite:///{tmp_path}/mlflow.db"}
    words = [names.get(word, word) for word in COMMANDS[command]]
    given = [] if command == "schema" else ["--params", params]
    code, said, errors = run(command, *words, *given, "--out", nowhere)
    assert str(nowhere.parent) in one_line((code, said, errors.splitlines(keepends=True)[-1]))


def test_a_trace_that_cannot_be_written_is_refused_before_the_training(
    run: Run, fabricated: tuple[Path, Path], tmp_path: Path
) -> None:
    params, results = fabricated
    data = next((results / "data/reviews").glob("reviews-*"))
    words = ("finetune", "--task", "reviews", "--teacher", "big", "--data", data, "--params", params)
    assert "/proc/x" in one_line(run(*words, "--out", tmp_path / "out", "--profile", "/proc/x/trace.json"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["papers"], ["publish", "--params", "PARAMS"]])
def test_results_in_which_nothing_can_be_made(command: list[str], run: Run, fabricated: tuple[Path, Path]) -> None:
    words = [fabricated[0] if word == "PARAMS" else word for word in command]
    assert "/proc/x" in one_line(run(*words, "--results", "/proc/x"))


def test_a_store_whose_lock_cannot_be_made_is_refused_at_once(run: Run, fabricated: tuple[Path, Path]) -> None:
    """Such a lock looks like one that another process holds."""
    params, results = fabricated
    said = one_line(run("track", "--params", params, "--results", results, "--uri", "sqlite:////proc/mlflow.db"))
    assert "/proc/mlflow.db.lock: nothing can be made there; take another folder" in said


def test_a_file_that_a_bug_forgot_to_make_is_no_bad_input(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), readable_os_errors(tmp_path / "out"):
        (tmp_path / "out-of-place").read_text()


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ENOTCONN])
def test_a_file_system_that_does_not_answer_is_named(tmp_path: Path, code: int) -> None:
    with pytest.raises(UserError, match="does not answer; mount it again"), readable_os_errors(tmp_path):
        raise OSError(code, "gone", str(tmp_path))
