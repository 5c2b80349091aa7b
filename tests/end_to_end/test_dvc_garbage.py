"""Collecting garbage in the documented order: what another branch uses survives, in the cache and in the remote."""

from pathlib import Path
from typing import Any

import pytest


def cached(project: Any) -> int:
    """How many files the cache of a project holds."""
    return sum(path.is_file() for path in (project.folder / ".dvc/cache").rglob("*"))


def switch(project: Any, branch: str) -> None:
    project.run("git", "checkout", "-q", branch)
    project.dvc("checkout")


@pytest.mark.slow
def test_collecting_keeps_what_other_branches_use(versioned: Any, tmp_path: Path) -> None:
    versioned.dvc("remote", "add", "-d", "local", str(tmp_path / "remote"))
    versioned.commit("a remote")
    versioned.dvc("push")
    whole = set(versioned.made())

    versioned.run("git", "checkout", "-qb", "fewer")
    versioned.write(versioned.values | {"grid": versioned.values["grid"] | {"seeds": [0]}})
    versioned.dvc("repro")
    versioned.run("python", "-m", "distilgrid", "gc", "--delete")
    versioned.run("python", "-m", "distilgrid", "publish")
    versioned.dvc("commit", "-f")
    versioned.commit("one seed")
    versioned.dvc("push")
    fewer = set(versioned.made())
    assert not any("seed-1-" in folder for folder in fewer)

    versioned.dvc("gc", "--all-branches", "--force")
    switch(versioned, "main")
    assert set(versioned.made()) == whole
    assert versioned.jobs() == {}

    clone = versioned.clone(tmp_path / "clone")
    clone.dvc("gc", "--all-commits", "--cloud", "--force")
    clone.run("git", "checkout", "-q", "fewer")
    clone.dvc("pull")
    assert set(clone.made()) == fewer, "a branch that only the origin has was kept in the remote"

    switch(versioned, "fewer")
    before = cached(versioned)
    versioned.dvc("gc", "--workspace", "--force")
    assert cached(versioned) < before, "without --all-branches, what only main uses is gone from the cache"
    versioned.run("git", "checkout", "-q", "main")
    versioned.dvc("pull")
    assert set(versioned.made()) == whole, "and comes back from the remote"
