"""What garbage collection leaves alone: jobs at work, unfinished work, other grids, and what all of these need."""

import copy
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from tests.unit.command_line import Run
from typer.testing import CliRunner

from distilgrid.audit import garbage
from distilgrid.audit.garbage import Garbage, collect, remove, survey
from distilgrid.cli import support
from distilgrid.cli.app import COMMANDS, app
from distilgrid.core.artefacts import LOCK, RUN, STATE, writing
from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.jobs.living import FOLDER, hold
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.frozen import freeze
from distilgrid.plan.params import load_params, parse_params

Values = dict[str, Any]
SLOWER = {"training": {"learning_rate": 0.002}}
"""Settings of another grid, of which teachers and students differ from those of the first."""


class Folder:
    """A project with its results."""

    def __init__(self, folder: Path, values: Values) -> None:
        self.folder, self.values, self.results = folder, values, folder / "results"
        self.params = self.write("params.yaml", values)

    def write(self, name: str, values: Values) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    def plan(self, **changes: Values) -> Plan:
        values = copy.deepcopy(self.values)
        for section, change in changes.items():
            values.setdefault(section, {}).update(change)
        return expand(parse_params(values, origin="test"))

    def finish(self, *artefacts: Artefact) -> None:
        for artefact in artefacts:
            with writing(self.results / artefact.folder, recipe=artefact.recipe, labels=artefact.labels) as scratch:
                for name in artefact.files:
                    if name != RUN:
                        (scratch / name).write_text(name)

    def survey(self, *overlays: Path, days: float = 7.0, others: bool = True) -> Garbage:
        given = {"params_files": [self.params], "overlays": overlays, "results": self.results}
        return survey(**given, unfinished_days=days, others=others)  # type: ignore[arg-type]

    def unfinished(self, artefact: Artefact) -> Path:
        """Work that was stopped, with its saved state."""
        folder = self.results / artefact.folder

        def stopped() -> None:
            with writing(folder, recipe=artefact.recipe, labels=artefact.labels):
                (folder / STATE).mkdir()
                (folder / STATE / "state").write_text("hours of work")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stopped()
        return folder

    def run(self, *words: str, given: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(
            app, ["gc", "--params", str(self.params), "--results", str(self.results), *words], input=given
        )
        return done.exit_code, done.output


@pytest.fixture
def project(tmp_path: Path, tiny_values: Values) -> Folder:
    return Folder(tmp_path, tiny_values)


def old(folder: Path, *, days: float) -> None:
    stamp = time.time() - days * 86400
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (stamp, stamp))


@pytest.fixture
def stranger(project: Folder) -> Artefact:
    """A finished artefact that nobody names."""
    cell = project.plan(training={"epochs": 7}).students[0]
    project.finish(cell)
    return cell


# Jobs at work and unfinished work -------------------------------------------------------------------------------------


def test_a_folder_whose_lock_is_held_stays(project: Folder, stranger: Artefact) -> None:
    folder = project.results / stranger.folder
    with FileLock(folder / LOCK):
        found = project.survey(days=0)
        assert (found.unnamed, found.kept) == ({}, {folder: "a job is at work in it"})
        code, said = project.run("--delete", "--unfinished-days", "0")
    assert code == 0
    assert f"kept {folder}: a job is at work in it" in said
    assert (folder / RUN).is_file()
    assert project.survey(days=0).unnamed.keys() == {folder}


def test_a_job_that_began_after_the_listing_keeps_its_folder(project: Folder, stranger: Artefact) -> None:
    found = project.survey().unnamed
    folder = project.results / stranger.folder
    with FileLock(folder / LOCK):
        assert remove(found, results=project.results) == {folder: "a job is at work in it"}
    assert (folder / RUN).is_file()


def test_a_lock_below_a_name_that_looks_like_a_key_counts(project: Folder) -> None:
    within = project.results / "teachers/reviews/old-0123456789ab/seed-0-ba9876543210"
    within.mkdir(parents=True)
    with FileLock(within / LOCK):
        assert project.survey(days=0).unnamed == {}
    assert project.survey(days=0).unnamed.keys() == {within.parent}


@pytest.mark.parametrize(("idle", "days", "stays"), [(1, 7, True), (8, 7, False), (8, 30, True), (1, 0, False)])
def test_unfinished_work_stays_for_a_while(project: Folder, idle: float, days: float, stays: bool) -> None:
    folder = project.unfinished(project.plan(training={"epochs": 7}).students[0])
    old(folder, days=idle)
    code, said = project.run("--delete", "--unfinished-days", str(days))
    assert code == 0
    assert (folder / STATE / "state").exists() is stays
    assert (f"kept {folder}: unfinished, last changed {idle}.0 days ago" in said) is stays


def test_what_unfinished_work_is_made_from_stays(project: Folder) -> None:
    """A student of another grid, stopped by hand: its teacher and the recording of its outputs took hours."""
    other = project.plan(**SLOWER)
    project.finish(*other.of("prepare"), *other.teachers, *other.of("record"))
    cell = next(student for student in other.students if student.labels["method"] == "kd")
    project.unfinished(cell)
    (teacher,) = other.teachers
    (used,) = (each for each in other.of("record") if each in cell.each_input())
    found = project.survey()
    needed = {project.results / each.folder for each in (teacher, used)}
    assert {folder for folder, reason in found.kept.items() if "is made from it" in reason} == needed
    unneeded = {project.results / each.folder for each in other.of("record")} - needed
    assert found.unnamed.keys() == unneeded, "the recording that another method learns from"


def test_findings_next_to_an_unfinished_search_stay(project: Folder) -> None:
    known = project.results / "searches/reviews/tiny/.known/space-0123456789ab"
    search = project.results / "searches/reviews/tiny/kd-nas-seed-0-ba9876543210"
    for folder in (known, search):
        folder.mkdir(parents=True)
    old(known, days=30)
    assert project.survey().unnamed == {}
    old(search, days=30)
    assert project.survey().unnamed.keys() == {known, search}


# Other grids ----------------------------------------------------------------------------------------------------------


def test_the_example_of_the_help_deletes_no_results_of_another_grid(project: Folder) -> None:
    """Two grids of the folder `grids` were run; one is given, as in the example."""
    (example,) = (example for group in COMMANDS.values() for f, example in group.items() if f.__name__ == "gc")
    assert "--delete" not in example
    mine = project.write("grids/mine.yaml", {"grid": {"name": "mine"}, **SLOWER})
    project.write("grids/other.yaml", {"grid": {"name": "other"}, "training": {"epochs": 3}})
    first, other = (
        project.plan(grid={"name": "mine"}, **SLOWER),
        project.plan(grid={"name": "other"}, training={"epochs": 3}),
    )
    project.finish(*project.plan().artefacts.values(), *first.artefacts.values(), *other.artefacts.values())
    code, said = project.run("--grid", str(mine), "--delete", "--yes")
    assert code == 0
    assert all((project.results / folder / RUN).is_file() for folder in [*first.artefacts, *other.artefacts])
    shared = other.artefacts.keys() & (first.artefacts.keys() | project.plan().artefacts.keys())
    assert f"kept {len(other.artefacts) - len(shared)} folders of params.yaml + grids/other.yaml" in said
    assert project.survey(mine, others=False).unnamed.keys() == {
        project.results / folder for folder in other.artefacts.keys() - shared
    }


def test_claims_and_spaces_next_to_grids_are_no_grids_and_broken_ones_are_named(project: Folder) -> None:
    project.write("grids/mine.claims.yaml", {"paper": {"title": "T"}, "claims": []})
    project.write("grids/second.yaml", {"grid": {"students": ["of-the-first"]}})
    (project.folder / "grids/torn.yaml").write_text("grid: {")
    assert [Path(note).name for note in project.survey().notes] == ["second.yaml", "torn.yaml"]


@pytest.fixture
def ran(project: Folder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A grid that was run from a file elsewhere in the project, `mine.yaml`, with the name of another grid."""
    monkeypatch.chdir(project.folder)
    path = project.write("mine.yaml", SLOWER)
    files = [project.params, path]
    freeze(load_params(files), Path("results"), origin=files)
    project.finish(*project.plan().artefacts.values(), *project.plan(**SLOWER).artefacts.values())
    return path


def test_results_of_a_run_from_a_file_elsewhere_stay(project: Folder, ran: Path) -> None:
    assert project.survey().unnamed == {}
    assert set(project.survey().named.values()) == {"params.yaml + mine.yaml"}


def test_results_of_a_run_whose_file_is_gone_stay(project: Folder, ran: Path) -> None:
    ran.unlink()
    assert project.survey().unnamed == {}
    (project.results / ".params").rename(project.folder / "gone")
    assert project.survey().unnamed


def test_old_values_of_a_file_may_go(project: Folder, ran: Path) -> None:
    ran.write_text("training: {learning_rate: 0.003}\n")
    found = project.survey().unnamed
    assert found
    assert found.keys() <= {project.results / folder for folder in project.plan(**SLOWER).artefacts}


def test_results_of_values_from_the_command_line_stay(project: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    other = project.plan(**SLOWER)
    freeze(other.params, Path("results"), origin=[project.params])  # `snakemake --config` changed a value
    project.finish(*other.artefacts.values())
    assert project.survey().unnamed == {}


def test_nothing_is_deleted_while_a_run_cannot_be_told(project: Folder, stranger: Artefact) -> None:
    record = project.write("results/.params/older-0123456789ab.yaml", {"grid": {"tasks": ["gone"]}})
    assert f"unknown results of a run: {record}" in project.run()[1]
    with pytest.raises(UserError, match=r"nothing is deleted.*remove this file"):
        project.survey().refuse_unknown()
    assert (project.results / stranger.folder / RUN).is_file()
    assert project.run("--delete", "--given-only")[0] == 0


def test_added_seeds_stay(project: Folder) -> None:
    """Of a decided grid, and of one that is being decided."""
    added = {"task": "reviews", "teacher": "tiny", "method": "kd", "student": "half"}
    for name, seeds in (("tiny", [7]), (".tiny", [7, 8])):
        values = {"grid": {"replications": [{**added, "seeds": seeds}]}}
        path = project.write(f"results/decisions/{name}.yaml", values)
        project.finish(*expand(load_params([project.params, path])).artefacts.values())
    assert project.survey(others=False).unnamed == {}


def test_what_a_workflow_at_work_makes_stays_though_its_file_was_edited(
    project: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    frozen = freeze(project.plan().params, Path("results"), origin=[project.params])
    project.finish(*project.plan().artefacts.values())
    project.write("params.yaml", {**project.values, **SLOWER, "training": {**project.values["training"], "epochs": 9}})
    assert project.survey().unnamed
    locks = project.folder / ".snakemake" / FOLDER
    locks.mkdir(parents=True)
    workflow = hold(locks, name=frozen.stem)
    assert project.survey(others=False).unnamed == {}
    workflow.release()
    assert project.survey().unnamed


def test_a_folder_that_no_stage_makes_is_the_users(project: Folder, stranger: Artefact) -> None:
    mine = project.results / "backup" / stranger.folder
    shutil.copytree(project.results / stranger.folder, mine)
    assert mine not in collect(params_files=[project.params], overlays=[], results=project.results)


def test_a_link_goes_without_what_it_leads_to(project: Folder, stranger: Artefact, tmp_path: Path) -> None:
    folder = project.results / stranger.folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert project.run("--delete")[0] == 0
    assert not folder.is_symlink()
    assert (tmp_path / "elsewhere" / RUN).is_file()


# The question ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a person typed."""
    monkeypatch.setattr(support, "at_terminal", lambda: True)


@pytest.mark.usefixtures("at_terminal")
@pytest.mark.parametrize(
    ("words", "answer", "goes"),
    [
        (["--delete"], "n\n", False),
        (["--delete"], "", False),
        (["--delete"], "y\n", True),
        (["--delete", "--yes"], "", True),
    ],
)
def test_a_terminal_is_asked(project: Folder, stranger: Artefact, words: list[str], answer: str, goes: bool) -> None:
    code, said = project.run(*words, given=answer)
    assert ("Delete 1 folders, 0.0 MiB?" in said) is ("--yes" not in words)
    assert (code == 0) is goes
    assert (project.results / stranger.folder).exists() is not goes


@pytest.mark.usefixtures("at_terminal")
def test_what_a_grid_needs_since_it_was_listed_stays(
    project: Folder, stranger: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grid may begin while the question waits."""
    empty = Garbage()
    answers = [project.survey(), empty]
    monkeypatch.setattr(garbage, "survey", lambda **_: answers.pop(0))
    code, said = project.run("--delete", given="y\n")
    assert code == 0
    assert f"kept {project.results / stranger.folder}: needed since it was listed" in said
    assert said.splitlines()[-1] == "0 folders, 0.0 MiB"
    assert (project.results / stranger.folder / RUN).is_file()


def test_a_folder_that_cannot_be_deleted_is_named_and_the_others_go(
    project: Folder, stranger: Artefact, bound_by_modes: None
) -> None:
    second = project.plan(training={"epochs": 8}).students[0]
    project.finish(second)
    folder = project.results / stranger.folder
    folder.chmod(0o500)
    try:
        code, said = project.run("--delete")
    finally:
        folder.chmod(0o700)
    assert code == 0
    assert f"kept {folder}" in said
    assert (folder / RUN).is_file()
    assert not (project.results / second.folder).exists()


def test_results_that_are_not_there_are_no_garbage(project: Folder, run: Run) -> None:
    words = ("gc", "--params", project.params, "--results", project.folder / "absent")
    assert run(*words)[:2] == (0, "0 folders, 0.0 MiB; --delete does it\n")
