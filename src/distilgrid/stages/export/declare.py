"""The stage `export`: a trained model in a runtime's format, accepted only if it still computes the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Input, Keys, Option, Recipe, Stage
from distilgrid.stages.common import DATA, MODELS

if TYPE_CHECKING:
    from distilgrid.benchmark.settings import Export
    from distilgrid.plan.planner import Planner


@dataclass(frozen=True)
class ExportSettings:
    """Settings of an export."""

    runtime: str  # by name
    limits: "Export"  # of the parity gate


def _recipe(chosen: ExportSettings, keys: Keys) -> Recipe:
    from distilgrid.runtimes.registry import RUNTIMES, find_runtime

    name, entry = chosen.runtime, find_runtime(chosen.runtime)
    if entry.reference:
        others = ", ".join(other for other, each in RUNTIMES.items() if not each.reference)
        raise UserError(f"runtime '{name}' is what all others are compared with; choose one of: {others}")
    return {
        "runtime": name,
        "tolerance": chosen.limits.tolerance,
        "agreement": None if entry.exact else chosen.limits.agreement,
        "inputs": keys,
    }


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The export of a planned model."""
    runtime, model = names["runtime"], planner.folders[names["model"]]
    inputs = {"data": model.inputs["data"], "model": model}
    return planner.made("export", {"runtime": runtime}, inputs, place=f"{model.location}/{runtime}")


def _lacks(made: Mapping[str, Any]) -> Iterable[str]:
    from distilgrid.runtimes.registry import lacking

    return lacking(made["runtime"])


def _wanted(planner: "Planner") -> Iterable[Artefact]:
    """Exports of every teacher, and of the students of the exported seeds, for every runtime except the reference."""
    from distilgrid.runtimes.registry import find_runtime

    params = planner.params
    runtimes = [name for name in params.benchmark.runtimes if not find_runtime(name).reference]
    cells, first = planner.wanted["distill"], params.grid.seeds[0]
    students = [cell for cell in cells if params.export.seeds == "all" or cell.labels["seed"] == first]
    for model in [*planner.of("finetune"), *students]:
        for runtime in runtimes:
            yield planner.ask("export", model=model.folder, runtime=runtime)


STAGE = Stage(
    name="export",
    version=5,
    folder="exports",
    files=("parity.json", "run.json"),  # and the model's own, which differ by runtime
    summary="Export a model to a runtime, and check that it computes the same.",
    message="exporting",
    example="--runtime onnxruntime-int8 --data work/data --model work/student --out work/int8",
    settings=lambda params, options: ExportSettings(options["runtime"], params.export),
    recipe=_recipe,
    plan=_plan,
    options=(Option("runtime", "One of `benchmark.runtimes`."),),
    inputs=(DATA, Input("model", "A trained model: a folder made by `finetune` or `distill`.", MODELS)),
    wanted=_wanted,
    said=lambda parity: ["accepted" if parity["accepted"] else f"rejected: {parity['reason']}"],
    axes=("runtime",),
    labelled_by="model",
    target="benchmarks",
    warm=True,
    lacks=_lacks,
    place=lambda *_: "cpu",  # devices measure the exports; the gate compares them with torch on a CPU
    seconds=15,
)
