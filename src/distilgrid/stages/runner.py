"""The run of a stage, which verifies inputs and writes one artefact. Light until a job asks for torch."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import MODEL_STAGES, RANK, check_writable, writing
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.finished import Finished, open_finished, open_trained
from distilgrid.core.gpus import take_gpus
from distilgrid.core.loading import load
from distilgrid.core.stage import Input, Stage
from distilgrid.jobs import process
from distilgrid.stages.job import Job
from distilgrid.stages.lineage import check_lineage
from distilgrid.training.settings import Execution

if TYPE_CHECKING:
    from distilgrid.plan.expand import Plan
    from distilgrid.plan.params import Params

Folders = Mapping[str, Sequence[Path]]


def run_command(
    stage: Stage, params: "Params", options: Mapping[str, Any], folders: Folders, *, out: Path, results: Path
) -> list[str]:
    """Make an artefact as a command; returns lines for the user.

    Args:
        stage: of the artefact.
        params: of the grid.
        options: values of the command's options, by name.
        folders: of the inputs, by option.
        out: folder of the artefact.
        results: folder with the inputs of a stage that finds them itself.
    """
    settings = stage.settings(params, options)
    if options.get("profile"):
        check_writable(options["profile"], option="--profile")
    count = stage.threads(settings) if stage.threads else options.get("threads")
    for name, value in stage.environment.items():
        os.environ.setdefault(name, value)
    resources, place = params.resources, stage.computes_on(settings, folders)
    held = stage.gpus(place, device=resources.device, processes=resources.processes)
    threads = start(params, threads=count, torch=stage.torch, gpus=held)
    shared = resources.model_dump(include={"device", "processes", "checkpoint_seconds", "deterministic"})
    own = {"device": "cpu"} if place == "cpu" else {}  # a job without a GPU of its own leaves them to others
    execution = Execution(**shared | own, profile=options.get("profile"))
    how: dict[str, Any] = {"execution": execution, "threads": threads, "options": options}
    if stage.finds_inputs:
        from distilgrid.plan.expand import expand

        how |= planned_inputs(stage, expand(params), results)
    return list(stage.said(make(stage, settings, folders, out=out, **how)))


def make(
    stage: Stage,
    settings: Any,
    folders: Folders,
    *,
    out: Path,
    options: Mapping[str, Any] = MappingProxyType({}),
    labels: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    **how: Any,
) -> Any:
    """Make an artefact in this process; returns what the stage's function returns.

    Args:
        stage: of the artefact.
        settings: of the artefact.
        folders: of the inputs, by option.
        out: folder of the artefact.
        options: values by name; those of the stage's axes are labels.
        labels: in tables; default: those of the stage.
        inputs: planned ones, instead of folders, of a stage that finds them itself.
        how: further fields of the job.

    Raises:
        UserError: when an input is missing, damaged, of another stage, or of other data, or the stage refuses it.
    """
    opened = inputs or {each.name: _opened(each, folders.get(each.name, ())) for each in stage.inputs}
    if inputs is None:
        check_lineage(opened, options)
    keys = stage.keys(opened)
    recipe = stage.made_from(settings, keys)
    said = stage.labels(settings, options, opened) if labels is None else labels
    with writing(out, recipe=recipe, labels=said) as folder:
        job = Job(folder=folder, out=Path(out), key=recipe_key(recipe), keys=keys, inputs=opened, **how)
        return load(f"{stage.module}:{stage.name}")(settings, job)


def _opened(each: Input, folders: Sequence[Path]) -> list[Finished]:
    if each.required and not folders:
        raise UserError(f"--{each.name}: give the folder of at least one; {each.help}")
    model = set(each.stages) == set(MODEL_STAGES)
    return [open_trained(f) if model else open_finished(f, stage=each.stages[0]) for f in folders]


def planned_inputs(stage: Stage, plan: "Plan", results: Path) -> dict[str, Any]:
    """Fields of the job of a stage that finds its inputs itself: those that the plan names, in the results folder."""
    (planned,) = plan.of(stage.name)
    return {"plan": plan, "results": results, "inputs": planned.inputs}


def start(params: "Params", *, threads: int | None, torch: bool, gpus: int = 0) -> int:
    """Set up this process as a job, with GPUs for itself where the machine has any; returns its number of threads.

    Args:
        params: whose section `resources` says how jobs run.
        threads: of this process; None takes `resources.threads`.
        torch: whether the job computes with torch.
        gpus: to hold until the process ends.
    """
    resources = params.resources
    if gpus and RANK not in os.environ:  # helpers share those of their job
        take_gpus(count=gpus, cells_per_gpu=resources.cells_per_gpu)
    whole = threads or resources.threads
    count = max(1, whole // resources.processes) if torch else whole
    begin = process.start_torch_job if torch else process.start_job
    begin(threads=count, log_level=resources.log_level)
    return count
