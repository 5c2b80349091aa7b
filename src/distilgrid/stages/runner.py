"""The run of a stage: resolve names, verify inputs, build the recipe, write the artefact. Light: no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import MODEL_STAGES, trained_model, verified, writing
from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.core.planned import listed
from distilgrid.core.stage import Input, Stage
from distilgrid.stages.job import Given, Job
from distilgrid.stages.start import execution, start

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
    settings = stage.chosen(params, options)
    count = stage.threads(settings) if stage.threads else options.get("threads")
    threads = start(params, threads=count, torch=stage.torch, environment=stage.environment)
    how: dict[str, Any] = {"execution": execution(params, options), "threads": threads}
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
    labels: Mapping[str, Any] | None = None,
    inputs: Mapping[str, list[Given]] | None = None,
    **how: Any,
) -> Any:
    """Make an artefact in this process; returns what the stage's `run` returns.

    Args:
        stage: of the artefact.
        settings: of the artefact.
        folders: of the inputs, by option.
        out: folder of the artefact.
        labels: in tables; default: those of the stage.
        inputs: opened inputs, instead of folders.
        how: further fields of the job.

    Raises:
        UserError: when an input is missing, damaged or of another stage, or the stage refuses it.
    """
    opened = inputs or {each.name: _opened(each, folders.get(each.name, ())) for each in stage.inputs}
    keys = stage.keys(opened)
    recipe = stage.made_from(settings, keys)
    said = stage.labels(settings, opened) if labels is None else labels
    with writing(out, recipe=recipe, labels=said) as folder:
        job = Job(folder=folder, out=Path(out), recipe=recipe, keys=keys, inputs=opened, **how)
        return load(stage.run)(settings, job)


def _opened(each: Input, folders: Sequence[Path]) -> list[Given]:
    if each.required and not folders:
        raise UserError(f"--{each.name}: give the folder of at least one; {each.help}")
    model = set(each.stages) == set(MODEL_STAGES)
    return [Given(f, trained_model(f) if model else verified(f, stage=each.stages[0])) for f in map(Path, folders)]


def planned_inputs(stage: Stage, plan: "Plan", results: Path) -> dict[str, Any]:
    """The inputs that the grid's plan names, at their places in the results folder; their readers verify them."""
    (planned,) = plan.of(stage.name)
    inputs = {
        option: [
            Given(results / each.folder, {"key": each.key, "labels": each.labels, "recipe": each.recipe})
            for each in listed(source)
        ]
        for option, source in planned.inputs.items()
    }
    return {"plan": plan, "results": results, "inputs": inputs}
