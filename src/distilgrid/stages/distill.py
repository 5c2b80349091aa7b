"""Stage `distill`: one cell of the grid, a student trained by one method."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilgrid.artefacts import verified, writing
from distilgrid.distillation.registry import build_objective
from distilgrid.distillation.settings import Method
from distilgrid.distillation.teaching import Sources, Teaching
from distilgrid.execution import Execution
from distilgrid.fingerprint import derive_seed, recipe_key
from distilgrid.models.io import load_tokenizer
from distilgrid.models.settings import Student
from distilgrid.models.source import model_folder, model_revision
from distilgrid.models.student import build_student
from distilgrid.recipes import distill_recipe
from distilgrid.tasks.augmented import open_augmented
from distilgrid.tasks.dataset import open_dataset
from distilgrid.training.run import Job, run_job
from distilgrid.training.settings import Training
from distilgrid.training.training_set import TrainingSet

DEFAULT = Execution()


@dataclass(frozen=True)
class Cell:
    """The settings of one cell."""

    method: Method
    student: Student
    origin: str
    training: Training
    augmentation: str
    fraction: float
    seed: int
    subset_seed: int


def distill(
    *, cell: Cell, sources: Sources, out: Path, labels: Mapping[str, Any], execution: Execution = DEFAULT
) -> dict[str, Any]:
    """Train a student; returns its metrics.

    Args:
        cell: what to train.
        sources: what it is made from.
        out: where the artefact goes.
        labels: what `run.json` says about the cell.
        execution: how the job runs.

    Raises:
        UserError: when an input is missing, damaged or does not fit.
    """
    dataset = open_dataset(sources.data)
    augmented = open_augmented(sources.augmented, dataset=dataset) if sources.augmented else None
    training_set = TrainingSet(dataset, cell.fraction, cell.subset_seed, augmented)
    recipe = _recipe(cell, training_set, sources)
    with writing(out, recipe=recipe, labels=labels) as folder:
        origin, teacher = model_folder(cell.origin), sources.teacher
        from_teacher = cell.student.init == "finetuned" and teacher is not None
        seed = derive_seed(cell.seed, "init")
        job = Job(
            training_set=training_set,
            tokenizer=load_tokenizer(teacher if from_teacher and teacher else origin),
            model=build_student(cell.student, origin=origin, teacher=teacher, outputs=dataset.outputs, seed=seed),
            objective=build_objective(cell.method, regression=dataset.regression),
            settings=cell.training,
            seed=cell.seed,
            init=cell.student.init,
            execution=execution,
            teaching=Teaching(cell.method, cell.training, training_set, sources),
        )
        return run_job(job, folder, out=out, key=recipe_key(recipe))


def _recipe(cell: Cell, training_set: TrainingSet, sources: Sources) -> dict[str, Any]:
    inputs: dict[str, Any] = {"data": training_set.dataset.key}
    if training_set.augmented is not None:
        inputs["augmented"] = training_set.augmented.key
    if sources.teacher is not None:
        inputs["teacher-dir"] = verified(sources.teacher, stage="finetune")["key"]
    recordings = [verified(folder, stage="record")["key"] for folder in sources.teacher_outputs]
    if recordings:
        inputs["teacher-outputs"] = recordings[0] if len(recordings) == 1 else recordings
    if sources.mixed_outputs is not None:
        inputs["mixed-outputs"] = verified(sources.mixed_outputs, stage="record")["key"]
    return distill_recipe(
        method=cell.method,
        student=cell.student,
        origin=model_revision(cell.origin),
        training=cell.training,
        augmentation=cell.augmentation,
        fraction=cell.fraction,
        seed=cell.seed,
        inputs=inputs,
    )
