"""The tests leave the working copy as they find it: Git's view of it, ignored files included, before and after."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CACHES = ("__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache")
SHOWN = 10
BEFORE = pytest.StashKey[set[str]]()
LEFT = pytest.StashKey[str]()


def listing(root: Path) -> set[str] | None:
    """The lines of `git status` without caches; None where there is neither Git nor a work tree of this folder."""
    if not (root / ".git").exists() or not shutil.which("git"):
        return None
    command = ["git", "-C", str(root), "status", "--porcelain", "--ignored"]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        return None
    return {line for line in done.stdout.splitlines() if not any(name in line for name in CACHES)}


def difference(before: set[str], after: set[str]) -> str:
    """One line that names what changed between two listings; empty if nothing did."""
    names = sorted({line[3:] for line in before ^ after})
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"git status is not what it was before the tests: {', '.join(names[:SHOWN])}{more}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the working copy; the processes of xdist leave that to the one that started them."""
    if not hasattr(session.config, "workerinput") and (found := listing(ROOT)) is not None:
        session.config.stash[BEFORE] = found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if the working copy differs."""
    before = session.config.stash.get(BEFORE, None)
    after = None if before is None else listing(ROOT)
    if before is not None and after is not None and (said := difference(before, after)):
        session.config.stash[LEFT] = said
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so in one line."""
    if said := terminalreporter.config.stash.get(LEFT, ""):
        terminalreporter.write_line(said, red=True)
