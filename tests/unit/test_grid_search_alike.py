"""The shipped grids of searches: students begin alike, searches have equal budgets, limits are those of the papers."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_params import OVERLAYS, below

from distilgrid.models.settings import Student
from distilgrid.models.shapes import spread_layers
from distilgrid.plan.params import Params, load_params
from distilgrid.reporting.claims.file import load_claims
from distilgrid.search.settings import Search

ROOT = Path(__file__).parents[2]
DEPTH = {"bert-base": 12, "minilm-l6": 6}
JUDGING_NOTHING = ("estimators_mini", "docs_mini")
"""Grids that compare no searches: one judges estimates, the other shows each step."""


def read(path: Path) -> Params:
    return load_params([*below(path), path])


def trained(params: Params) -> dict[str, Student]:
    return {name: params.students[name] for name in params.grid.students}


GRIDS = {path.stem: path for path in OVERLAYS if any(each.found for each in trained(read(path)).values())}


def inherited(student: Student, *, depth: int) -> set[str]:
    """Ways to choose layers that a student agrees with."""
    if student.layers is None:
        return {student.inherit_layers}
    numbers = list(range(student.layers)) if isinstance(student.layers, int) else student.layers
    ways = {"first": list(range(len(numbers))), "spread": spread_layers(len(numbers), depth=depth)}
    return {way for way, wanted in ways.items() if numbers == wanted}


def estimated(search: Search) -> str:
    own: Any = search.estimator
    return str(own.layers if own.kind == "supernet" else own.inherit_layers)


@pytest.mark.parametrize("grid", GRIDS)
def test_found_and_hand_crafted_students_inherit_layers_alike(grid: str) -> None:
    params = read(GRIDS[grid])
    (teacher,) = params.grid.teachers
    students = trained(params)
    (way,) = {student.inherit_layers for student in students.values() if student.found}
    for name, student in students.items():
        assert way in inherited(student, depth=DEPTH[teacher]), name
    searches = {student.found.search for student in students.values() if student.found}
    assert {estimated(params.searches[name]) for name in searches} == {way}


@pytest.mark.parametrize("grid", [name for name in GRIDS if name not in JUDGING_NOTHING])
def test_what_random_search_found_is_trained_and_compared_at_an_equal_budget(grid: str) -> None:
    params = read(GRIDS[grid])
    found = {student.found.search for student in trained(params).values() if student.found}
    assert "random" in found
    sides = [(claim.better, claim.worse) for claim in load_claims(ROOT / str(params.report.claims)).claims]
    assert any(worse.student == "random" for _, worse in sides)
    for better, worse in sides:
        if better.search is not None and worse.search is not None:
            one, other = (params.searches[side.search].model_dump(exclude={"controller"}) for side in (better, worse))
            assert one == other, "trials, estimates, reward, limits and seeds are the same"


@pytest.mark.parametrize(
    "page", ["docs/search.md", "docs/results/search.md", "src/distilgrid/methods/hidden_kd/README.md"]
)
def test_documents_say_first_that_the_second_version_is_not_reproduced(page: str) -> None:
    title, first, *_ = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line]
    assert title.startswith("# ") and first.startswith("**The second version of KD-NAS is not reproduced**: its task-")
    head = GRIDS["kd_nas_hidden"].read_text(encoding="utf-8").splitlines()[0]
    assert head.startswith(
        "# Not a reproduction of KD-NAS's second version (Trivedi et al. 2023): its task-agnostic phase"
    )


def test_limits_that_the_papers_state() -> None:
    searches = read(GRIDS["kd_nas"]).searches
    assert {search.max_size_share for search in searches.values()} == {0.5}
    for search in read(GRIDS["compiler_aware"]).searches.values():
        share = search.max_latency_share
        assert share is not None and 1 / share >= 5.2 and getattr(search.reward, "limit_share", None) == share
