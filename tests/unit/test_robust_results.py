"""Results that may not be read, not be written, or meet a limit: one line, and what was whole stays whole."""

import contextlib
import errno
import fcntl
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.command_line import Run, one_line
from tests.unit.fabricate import fabricate_results
from tests.unit.relisted import relist

from distilgrid.audit.garbage import collect
from distilgrid.audit.verify import verify
from distilgrid.core.artefacts import is_complete, verified, writing
from distilgrid.core.errors import UserError
from distilgrid.plan.expand import Plan
from distilgrid.workflow.opening import release_stale_locks

CHOICE = ("choose", "--task", "reviews", "--max-latency", "1s", "--max-loss", "100")


class Results:
    """A finished grid without its report, with its parameters in a file."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.plan, self.root, self.folder = plan, folder, folder / "results"
        self.params = folder / "fabricated.yaml"
        self.params.write_text(yaml.safe_dump(plan.params.model_dump(mode="json"), sort_keys=False))
        self.student = self.folder / plan.students[0].folder
        self.given = ("--params", self.params, "--results", self.folder)

    def writable(self, value: bool) -> None:
        for path in [self.folder, *self.folder.rglob("*")]:
            path.chmod(0o700 if value else 0o500)


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    return fabricate_results(tmp_path_factory.mktemp("fabricated"))


@pytest.fixture
def made(fabricated: tuple[Plan, Path], tmp_path: Path) -> Results:
    shutil.copytree(fabricated[1], tmp_path / "results")
    return Results(tmp_path, fabricated[0])


@pytest.fixture
def read_only(made: Results, bound_by_modes: None) -> Iterator[Results]:
    """As a mounted snapshot is."""
    made.writable(False)
    yield made
    made.writable(True)


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond so many bytes, whoever runs it and wherever they lie."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock" and path.is_file()}


# A read-only path -----------------------------------------------------------------------------------------------------


def test_read_only_results_can_be_looked_at(read_only: Results, run: Run) -> None:
    assert run("plan", *read_only.given)[0] == 0
    assert run("gc", *read_only.given)[:2] == (0, "0 folders, 0.0 MiB; --delete does it\n")
    assert run("verify", "--results", read_only.folder, "--cells", 0)[0] == 0


@pytest.mark.parametrize("command", ["report", "cards", "track"])
def test_what_cannot_be_written_is_named(read_only: Results, run: Run, command: str) -> None:
    out = ("--out", read_only.folder / "reports" / "x") if command == "report" else ()
    assert "Permission denied; check its permissions" in one_line(run(command, *read_only.given, *out))


def test_a_choice_from_read_only_results_is_told_and_may_be_written_elsewhere(read_only: Results, run: Run) -> None:
    fails = run(*CHOICE, *read_only.given)
    assert f"{read_only.folder}/deployed" in one_line(fails)
    assert "do both" in fails[1], "the choice itself"
    out = read_only.root / "mine"
    (out / "own work").mkdir(parents=True)
    assert "holds no deployed model" in one_line(run(*CHOICE, *read_only.given, "--out", out))
    assert (out / "own work").is_dir()


# Permissions of one file ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("bound_by_modes")
@pytest.mark.parametrize("name", ["run.json", "metrics.json", "."])
def test_an_artefact_that_may_not_be_read_is_named(made: Results, run: Run, name: str) -> None:
    path = made.student / name
    path.chmod(0)
    try:
        found = verify(made.folder).problems
        assert any(problem.place.is_relative_to(made.student) and "cannot be read" in problem.what for problem in found)
        for words in (CHOICE, ("cards",)):
            said = one_line(run(*words, *made.given))
            assert str(made.student) in said
            assert "ermission denied" in said
        if name != "metrics.json":  # else only contents tell
            assert "Permission denied" in one_line(run("plan", *made.given)), "neither done nor to do"
    finally:
        path.chmod(0o700)


# A limit on the size of files, which acts as a full disk does ------------------------------------------------------


@pytest.mark.parametrize("stage", ["prepare", "report", "finetune"])
def test_a_write_that_fails_leaves_no_half_artefact_and_the_next_one_succeeds(
    made: Results, run: Run, stage: str, tmp_path: Path, tiny_model: Path
) -> None:
    out = tmp_path / "out"
    words: list[Any] = [stage, "--params", made.params, "--out", out]
    data = made.folder / made.plan.data["reviews"].folder
    if stage == "finetune":
        values = yaml.safe_load(made.params.read_text())
        values["teachers"]["big"]["source"] = f"path:{tiny_model}"
        values["training"] |= {"epochs": 1, "max_length": 8, "precision": "fp32"}
        values["resources"] |= {"checkpoint_seconds": 0.001}
        made.params.write_text(yaml.safe_dump(values))
        words += ["--teacher", "big", "--data", data]
    words += ["--results", made.folder] if stage == "report" else ["--task", "reviews"]
    before = names(made.folder)
    with files_up_to(2000):
        said = one_line((*run(*words)[:2], _last_line(run(*words)[2])))
    assert str(out) in said
    assert "ulimit -f" in said
    assert not is_complete(out)
    assert names(out) == set()
    assert {name for name in names(made.folder) if ".tokens" not in name} == before
    assert run(*words)[0] == 0
    verified(out, stage=stage)


def _last_line(text: str) -> str:
    """Without what the log said before."""
    return text.strip().splitlines()[-1] + "\n"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"\.snakemake: this file system has no locks"):
        release_stale_locks(tmp_path / ".snakemake")
    with (
        pytest.raises(UserError, match="cell: this file system has no locks"),
        writing(tmp_path / "cell", recipe={"stage": "prepare"}, labels={}),
    ):
        pass


def test_a_choice_that_cannot_be_written_leaves_the_earlier_one(made: Results, run: Run, tiny_model: Path) -> None:
    for model in [*made.plan.teachers, *made.plan.students]:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tiny_model / name, made.folder / model.folder)
            relist(made.folder / model.folder, name)
    code, said, errors = run(*CHOICE, *made.given)
    assert code == 0, errors
    folder = Path(said.rpartition("ready to deploy: ")[2].strip())
    before, earlier = names(folder), (folder / "README.md").read_bytes()
    with files_up_to(100):
        assert "ulimit -f" in one_line(run(*CHOICE, *made.given))
    assert (folder / "README.md").read_bytes() == earlier
    assert names(folder) == before
    assert verify(made.folder).unfinished == [], "a deployed model is no unfinished artefact"
    assert collect(params_files=[made.params], overlays=[], results=made.folder) == {}, "nor is it garbage"


def test_any_command_ends_in_one_line(run: Run, made: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    import distilgrid.audit.status

    def failing(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(distilgrid.audit.status, "overview", failing)
    assert "no space left on the disk; free some" in one_line(run("plan", *made.given))
    with pytest.raises(UserError):
        verified(made.root / "absent")
