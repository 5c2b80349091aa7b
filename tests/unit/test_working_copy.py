"""A test session that leaves files in the working copy fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests import worktree

TEST = """
from pathlib import Path
def test_something():
    if {leaves!r}:
        (Path(__file__).parents[1] / {leaves!r}).write_text("left")
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Git repository with the plugin and an ignored name."""
    (tmp_path / "tests").mkdir()
    shutil.copy(worktree.__file__, tmp_path / "tests")
    (tmp_path / "tests/conftest.py").write_text('pytest_plugins = ("worktree",)\n')
    (tmp_path / ".gitignore").write_text("__pycache__/\n/mlflow.db\n")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("leaves", "processes"), [("", ()), ("new.txt", ()), ("mlflow.db", ("-p", "xdist", "-n", "1"))]
)
def test_a_session_that_leaves_a_file_behind_fails(repository: Path, leaves: str, processes: tuple[str, ...]) -> None:
    (repository / "tests/test_it.py").write_text(TEST.format(leaves=leaves))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(repository / "tests")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *processes],
        cwd=repository,
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if "git status" in line]
    assert "1 passed" in done.stdout
    assert done.returncode == bool(leaves)
    assert said == ([f"git status is not what it was before the tests: {leaves}"] if leaves else [])


def test_a_changed_file_and_a_removed_one_are_named_and_caches_are_not(repository: Path) -> None:
    before = worktree.listing(repository)
    (repository / ".gitignore").write_text("")
    (repository / "__pycache__").mkdir()
    (repository / "__pycache__/a.pyc").touch()
    shutil.rmtree(repository / "tests")
    after = worktree.listing(repository)
    assert before is not None and after is not None
    assert worktree.difference(before, after).endswith(": tests/")
    assert worktree.difference(after, after) == ""


def test_many_files_are_counted() -> None:
    said = worktree.difference(set(), {f"?? {number:02}" for number in range(12)})
    assert said.endswith(": 00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 2 more")


def test_without_a_repository_nothing_is_compared(tmp_path: Path) -> None:
    assert worktree.listing(tmp_path) is None
