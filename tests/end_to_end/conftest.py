"""One finished run of the tiny grid that the end-to-end tests share, and copies of it for those that change it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def finished(new_project: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project whose whole grid was made by `snakemake`. Tests must not change it."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    project.snakemake()
    return project


@pytest.fixture
def changeable(finished: Any, new_project: Callable[[Path], Any], tmp_path: Path) -> Any:
    """A copy of the finished project, for a test to change."""
    project = new_project(tmp_path / "copy")
    shutil.copytree(finished.folder / "results", project.folder / "results")
    return project


@pytest.fixture
def versioned(changeable: Any) -> Any:
    """The finished grid, recorded in DVC by the documented command and committed."""
    changeable.versioned()
    changeable.run("python", "-m", "distilgrid", "publish")
    changeable.dvc("commit", "-f")
    changeable.commit("first results")
    return changeable
