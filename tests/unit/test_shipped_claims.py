"""The shipped claims files: each claim is answered by the lines of a shipped grid, as it is planned."""

import functools
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.unit.test_params import OVERLAYS, below

from distilgrid.core.planned import TEACHER
from distilgrid.plan.params import Params, load_params
from distilgrid.plan.planner import fitting_cells
from distilgrid.reporting.claims.file import load_claims
from distilgrid.reporting.claims.matching import contrast
from distilgrid.reporting.claims.schema import LATENCY, Claim
from distilgrid.reporting.lines import AXES

FILES = sorted(f"grids/{path.name}" for path in (ROOT / "grids").glob("*.claims.yaml"))


@dataclass(frozen=True, eq=False)
class PlannedLine:
    """A line or a search as a claim sees it, before anything is trained."""

    labels: dict[str, Any]
    is_teacher: bool = False


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@functools.cache
def grids() -> dict[str, Params]:
    """The shipped grids by name."""
    return {path.stem: load_params([*below(path), path]) for path in OVERLAYS}


@functools.cache
def lines(grid: str) -> list[PlannedLine]:
    """The lines of a grid's tables."""
    cells = [{axis: cell[axis] for axis in AXES} for cell in fitting_cells(grids()[grid])]
    known = {tuple(cell.values()): cell for cell in cells}
    return [PlannedLine(labels) for labels in known.values()]


def taught(line: Any) -> Any:
    """The teacher of a line."""
    return PlannedLine({**line.labels, "method": TEACHER}, is_teacher=True)


def answers(grid: str, claim: Claim) -> bool:
    """Whether a grid has what a claim compares, on one of its tasks at least."""
    params = grids()[grid]
    if claim.metric.startswith(LATENCY) and claim.metric.removeprefix(LATENCY) not in params.benchmark.runtimes:
        return False
    pairs = product(params.grid.teachers, params.grid.searches)
    searches = [PlannedLine({"teacher": teacher, "search": search}) for teacher, search in pairs]
    for task in claim.tasks or [task for task in params.grid.tasks if task not in claim.without]:
        own = searches if claim.of_searches else [line for line in lines(grid) if line.labels["task"] == task]
        if contrast(claim, task, own, teacher=taught):  # type: ignore[arg-type]
            return True
    return False


def judging(file: str) -> list[str]:
    """The grids that name a claims file."""
    return [name for name, params in grids().items() if params.report.claims == file]


CLAIMS = [
    pytest.param(file, claim.id, id=f"{file.removeprefix('grids/').partition('.')[0]}-{claim.id}")
    for file in FILES
    for claim in load_claims(ROOT / file).claims
]


@pytest.mark.parametrize(("file", "name"), CLAIMS)
def test_each_claim_is_answered_by_a_shipped_grid(file: str, name: str) -> None:
    (claim,) = [claim for claim in load_claims(file).claims if claim.id == name]
    assert any(answers(grid, claim) for grid in judging(file)), f"no grid of {judging(file)} has its lines"


def test_what_random_search_found_is_compared_where_it_is_trained() -> None:
    """With what the paper's own search found: once by score, once by latency."""
    for grid, params in grids().items():
        if "random" in params.grid.students:
            claims = load_claims(str(params.report.claims)).claims
            compared = [claim for claim in claims if claim.worse.student == "random" and answers(grid, claim)]
            assert sorted(claim.metric for claim in compared) == ["latency.onnxruntime-fp32", "main"], grid


@pytest.mark.parametrize("file", FILES)
def test_one_grid_answers_all_parts_of_a_joint_claim(file: str) -> None:
    found = load_claims(file)
    claims = {claim.id: claim for claim in found.claims}
    for joint in found.joint:
        assert any(all(answers(grid, claims[part]) for part in joint.of) for grid in judging(file)), joint.id


@pytest.mark.parametrize("file", FILES)
def test_each_grid_answers_some_claim_of_its_file(file: str) -> None:
    claims = load_claims(file).claims
    assert all(any(answers(grid, claim) for claim in claims) for grid in judging(file))


def test_the_controls_of_mixkd_are_claims_of_its_ablation() -> None:
    """L_KD on original rows added, and alpha_TMKD 0 against 1, all else equal; and tmkd against both controls."""
    claims = {claim.id: claim for claim in load_claims("grids/mixkd.claims.yaml").claims}
    methods = grids()["mixkd_ablation_mini"].methods
    for name, setting, values in (("l-kd-adds", "alpha_kd", (1, 0)), ("tmkd-adds-to-sm", "alpha_tmkd", (1, 0))):
        better, worse = (methods[side.method].model_dump() for side in (claims[name].better, claims[name].worse))
        assert {key for key in better if better[key] != worse[key]} == {setting}
        assert (better[setting], worse[setting]) == values
    wanted = {"l-kd-adds", "tmkd-adds-to-sm", "tmkd-over-its-loss-on-original-rows", "tmkd-over-kd-at-equal-compute"}
    assert wanted <= {name for name, claim in claims.items() if answers("mixkd_ablation_mini", claim)}
