"""Stage `report`: tables, plots and the page of a finished grid."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Input, Keys, Recipe, Stage

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.reporting.claims.schema import ClaimsFile


@dataclass(frozen=True)
class ReportSettings:
    """Settings of a report: the grid's parameters, and the claims of a paper, if any."""

    params: "Params"
    claims: "ClaimsFile | None"


def lacking() -> list[str]:
    """A complaint about packages of a report that are not installed; else none."""
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    return [f"a report needs {' and '.join(missing)}: pip install 'distilgrid[report]'"] if missing else []


def settings(params: "Params", options: Mapping[str, Any]) -> ReportSettings:
    """Read the claims.

    Raises:
        UserError: when the file of the claims is missing or damaged.
    """
    from distilgrid.reporting.claims.file import load_claims

    file = params.report.claims
    return ReportSettings(params, load_claims(file, params=params) if file else None)


def recipe(chosen: ReportSettings, keys: Keys) -> Recipe:
    """The axes, the settings of the comparisons, the claims, and all results."""
    params, claims = chosen.params, chosen.claims
    return {
        "grid": params.grid.model_dump(),
        "settings": params.report.model_dump(exclude={"claims", "features"}),
        "claims": claims.model_dump() if claims else None,
        "inputs": keys,
    }


SHOWN = {
    "model": ("finetune", "distill"),
    "export": ("export",),
    "benchmark": ("benchmark",),
    "augmented": ("augment",),
    "features": ("features",),
    "search": ("search",),
}
"""The inputs of a report, and the stages that make them."""


def plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The report of the grid."""
    found = {name: [each for stage in stages for each in planner.shown(stage)] for name, stages in SHOWN.items()}
    inputs: Any = {name: artefacts for name, artefacts in found.items() if artefacts}
    return planner.made("report", {}, inputs, place=planner.params.grid.name)


def wanted(planner: "Planner") -> Iterable[Artefact]:
    """One report for the grid."""
    yield planner.ask("report")


STAGE = Stage(
    name="report",
    version=16,
    folder="reports",
    files=(
        "report.html",
        "table.md",
        "table.csv",
        "table.tex",
        "metrics.json",
        "claims.json",
        "compute.json",
        "curves.csv",
        "run.json",
    ),
    summary="Write the tables, the plots and the page of a finished grid.",
    message="writing the report of",
    example="--out work/report",
    settings=settings,
    recipe=recipe,
    plan=plan,
    inputs=tuple(
        Input(name, "Finished artefacts.", stages, required=False, several=True) for name, stages in SHOWN.items()
    ),
    wanted=wanted,
    labelled=lambda own, _: {"grid": own.params.grid.name},
    target="report",
    torch=False,
    threads=lambda _: 1,
    finds_inputs=True,
    lacks=lambda _: lacking(),
    seconds=20,
)
