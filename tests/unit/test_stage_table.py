"""The table of stages, and the files that follow from it."""

import re
import runpy

import pytest
from tests.conftest import ROOT

from distilgrid.core.loading import load
from distilgrid.stages.table import STAGES, TARGETS, warm_stages

GENERATED = runpy.run_path(str(ROOT / "scripts/write_generated.py"))
PACKAGE = GENERATED["PACKAGE"]
DECLARES = re.compile(r"^VERSIONS? = |^    version=\d|^    version: ClassVar|Entry\(.*\d", re.MULTILINE)


@pytest.mark.parametrize(("name", "written"), [("dvc.yaml", "dvc_text"), ("docs/stages.md", "stages_text")])
def test_generated_files_follow_from_the_table(name: str, written: str) -> None:
    assert (ROOT / name).read_text() == GENERATED[written](), "run scripts/write_generated.py"


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_lies_in_a_folder_and_runs(name: str) -> None:
    stage = STAGES[name]
    assert stage.name == name
    assert stage.module.startswith(f"distilgrid.stages.{name}.")
    assert callable(load(f"{stage.module}:{name}"))
    assert stage.target in TARGETS
    assert {made for each in stage.inputs for made in each.stages} <= STAGES.keys()


def test_no_two_stages_share_a_folder() -> None:
    assert len({stage.folder for stage in STAGES.values()}) == len(STAGES)


def test_what_measures_starts_cold() -> None:
    assert not warm_stages().keys() & {"benchmark", "latency", "search", "candidate"}


def test_dvc_follows_every_file_that_declares_a_version() -> None:
    followed = {PACKAGE / path for path in GENERATED["declaring_files"](list(STAGES.values()))}
    missing = [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name in ("declare.py", "registry.py") and DECLARES.search(path.read_text()) and path not in followed
    ]
    assert missing == [], "name it in `declared` of the stage whose recipe holds the version"
    assert all(path.exists() for path in followed)
