"""Fixtures of the unit tests: the command line within this process, one that permissions hold for, tiny models."""

import ctypes
import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.command_line import Run

from distilgrid.cli.app import main
from distilgrid.jobs import process as job

if TYPE_CHECKING:
    from tests.unit.tiny_benchmark import Chain
    from tests.unit.tracked import Store

    from distilgrid.plan.expand import Plan

CAPABILITIES_VERSION = 0x20080522  # of linux/capability.h: two words of each set
OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line within this process: its exit code, output and errors."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # which MLflow sets for a test before
    for name in ("start_job", "start_torch_job"):
        monkeypatch.setattr(job, name, lambda **_: None)  # threads and signals of the test process stay as they are

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["distilgrid", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            captured = capsys.readouterr()
            return int(ended.code or 0), captured.out, captured.err
        raise AssertionError("a command ends with an exit code")

    return call


@pytest.fixture
def bound_by_modes() -> Iterator[None]:
    """File modes hold for this process, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root cannot give up its rights here")
    library = ctypes.CDLL(None)
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert library.capget(header, sets) == 0
    effective = sets[0]
    sets[0] = effective & ~OVERRIDES
    assert library.capset(header, sets) == 0
    yield
    sets[0] = effective
    assert library.capset(header, sets) == 0


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, reviews_csv: Path) -> "Chain":
    """Tiny models with their exports."""
    from tests.unit.tiny_benchmark import make_chain

    return make_chain(tmp_path_factory.mktemp("chain"), source=f"path:{tiny_model}", csv=reviews_csv)


@pytest.fixture
def run_benchmark(chain: "Chain", tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Measures the tiny models and returns the entries."""
    from tests.unit.tiny_benchmark import entries_of

    return functools.partial(entries_of, chain, tmp_path / "out")


@pytest.fixture(scope="session")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Plan, Path]":
    """The plan and results of a finished grid of default values. Tests must not change them."""
    from tests.unit.fabricate import fabricate_results

    return fabricate_results(tmp_path_factory.mktemp("fabricated"))


@pytest.fixture(scope="session")
def shown(fabricated: "tuple[Plan, Path]", tmp_path_factory: pytest.TempPathFactory) -> "Store":
    """The results, tracked once; for tests that only look, and to copy: MLflow's migrations take seconds."""
    from tests.unit.tracked import Store

    plan, results = fabricated
    store = Store(plan, Path(shutil.copytree(results, tmp_path_factory.mktemp("shown") / "results")))
    assert store.track() == {"grid": "fabricated", "runs": 18, "created": 18, "updated": 0, "unchanged": 0}
    return store


@pytest.fixture
def store(shown: "Store", tmp_path: Path) -> "Store":
    """A tracked copy to change."""
    return type(shown)(shown.plan, Path(shutil.copytree(shown.results, tmp_path / "results")))


@pytest.fixture
def untracked(store: "Store") -> "Store":
    """The same, as if nothing had been tracked but the store were there."""
    store.forget()
    return store


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """Reports without the drawing of their figures, which takes most of their time; for tests that look elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda _, stream, **__: stream.write("<svg></svg>"))
        yield
