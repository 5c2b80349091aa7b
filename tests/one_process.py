"""Many tests in one process: nothing is carried from test to test, and none waits for the disk or the collector."""

import gc
import os
from collections.abc import Iterator

import pytest

from distilgrid.core import artefacts


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking through all modules each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Forget the artefacts that a test verified: a job looks at all those of its process whenever it writes one."""
    yield
    artefacts._contents.clear()
    artefacts._read.clear()


@pytest.fixture(scope="session", autouse=True)
def _unsynced() -> Iterator[None]:
    """Skip `fsync` within this process: what tests write need not survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield
