"""The marker of each test: `unit`, or `chain` for one that trains, runs stages or starts the command line."""

from collections.abc import Sequence
from pathlib import Path

import pytest

FAST = ("unit", "golden")
"""Folders whose tests are `unit` unless their file, their fixture or they themselves say `chain`."""

GRIDS = frozenset(("chain", "finished", "jobs", "new_project", "project"))
"""Fixtures that train, or that start programs."""


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that has neither marker."""
    for item in items:
        if not {"unit", "chain"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(marker_of(item.path, getattr(item, "fixturenames", ())))


def marker_of(path: Path, fixtures: Sequence[str]) -> str:
    """The marker of a test in a file that needs fixtures, those of fixtures included."""
    folder = path.relative_to(Path(__file__).parent).parts[0]
    return "unit" if folder in FAST and not GRIDS & set(fixtures) else "chain"
