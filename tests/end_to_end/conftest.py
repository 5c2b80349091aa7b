"""One finished run of the tiny grid that the end-to-end tests share, and copies of it for those that change it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from tests.conftest import ROOT

TRAINED = ("data", "teachers", "teacher-outputs", "students")


@pytest.fixture(scope="session")
def finished(new_project: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project whose whole grid was made by `snakemake`. Tests must not change it.

    The processes of xdist make it once, in the folder above theirs. Each takes a copy, as Snakemake locks its folder.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return finish(new_project(base / "finished"))
    project, whole = new_project(base / "finished"), base.parent / "finished"
    with FileLock(base.parent / "finished.lock"):
        if not whole.exists():
            finish(project)
            shutil.copytree(project.folder, whole, symlinks=True)
            return project
    shutil.copytree(whole, project.folder, symlinks=True, dirs_exist_ok=True)
    return project


def finish(project: Any) -> Any:
    """Commit a fresh project and run its grid."""
    shutil.copy(ROOT / ".gitignore", project.folder)
    project.committed("before the run")
    project.snakemake()
    return project


@pytest.fixture
def changeable(finished: Any, new_project: Callable[[Path], Any], tmp_path: Path) -> Any:
    """A copy of the finished project, for a test to change."""
    project = new_project(tmp_path / "copy")
    project.write(finished.values)
    shutil.copytree(finished.folder / "results", project.folder / "results")
    return project


@pytest.fixture(scope="session")
def seeded(finished: Any, new_project: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Makes a project that holds what the finished one trained with seed 0, for a larger grid to start from."""

    def make(folder: Path) -> Any:
        project = new_project(folder)
        for name in TRAINED:
            leave = shutil.ignore_patterns("seed-1-*")
            shutil.copytree(finished.folder / "results" / name, project.folder / "results" / name, ignore=leave)
        return project

    return make


@pytest.fixture(scope="session")
def recorded(finished: Any, new_project: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The finished grid, recorded in DVC by the documented command and committed. Tests must not change it."""
    project = new_project(tmp_path_factory.mktemp("recorded") / "project")
    shutil.copytree(finished.folder / "results", project.folder / "results")
    project.versioned()
    project.run("python", "-m", "distilgrid", "publish")
    project.dvc("commit", "-f")
    project.commit("first results")
    return project


@pytest.fixture
def versioned(recorded: Any, new_project: Callable[[Path], Any], tmp_path: Path) -> Any:
    """A copy of the recorded grid, for a test to change."""
    project = new_project(tmp_path / "copy")
    shutil.copytree(recorded.folder, project.folder, symlinks=True, dirs_exist_ok=True)
    return project
