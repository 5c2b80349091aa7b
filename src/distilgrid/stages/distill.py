"""Stage `distill`: one cell of the grid, a student trained by one method."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.artefacts import verified, writing
from distilgrid.distillation.registry import METHODS, build_objective
from distilgrid.distillation.settings import Method
from distilgrid.distillation.teacher import LiveTeacher, TeacherOutputs, open_recorded
from distilgrid.errors import UserError
from distilgrid.execution import Execution
from distilgrid.fingerprint import derive_seed, recipe_key
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.models.settings import Student
from distilgrid.models.source import model_folder, model_revision
from distilgrid.models.student import build_student
from distilgrid.recipes import distill_recipe
from distilgrid.tasks.dataset import Dataset, open_dataset, texts
from distilgrid.training.batching import encode
from distilgrid.training.run import Job, TeacherOpener, run_job
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    import pandas as pd

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
    *,
    cell: Cell,
    data: Path,
    teacher: Path | None,
    teacher_outputs: Path | None,
    out: Path,
    labels: Mapping[str, Any],
    execution: Execution = DEFAULT,
) -> dict[str, Any]:
    """Train a student; returns its metrics.

    Args:
        cell: what to train.
        data: prepared data.
        teacher: the fine-tuned teacher, for `init: finetuned` or for a teacher that runs live.
        teacher_outputs: recorded outputs; without them a method that needs a teacher runs it live.
        out: where the artefact goes.
        labels: what `run.json` says about the cell.
        execution: how the job runs.

    Raises:
        UserError: when an input is missing, damaged or does not fit.
    """
    dataset = open_dataset(data)
    recipe = _recipe(cell, dataset, teacher, teacher_outputs)
    with writing(out, recipe=recipe, labels=labels) as folder:
        origin = model_folder(cell.origin)
        from_teacher = cell.student.init == "finetuned" and teacher is not None
        job = Job(
            dataset=dataset,
            tokenizer=load_tokenizer(teacher if from_teacher and teacher else origin),
            model=build_student(
                cell.student,
                origin=origin,
                teacher=teacher,
                outputs=dataset.outputs,
                seed=derive_seed(cell.seed, "init"),
            ),
            objective=build_objective(cell.method, regression=dataset.regression),
            settings=cell.training,
            seed=cell.seed,
            init=cell.student.init,
            fraction=cell.fraction,
            subset_seed=cell.subset_seed,
            execution=execution,
            open_teacher=_teacher_opener(cell, dataset, teacher, teacher_outputs),
        )
        return run_job(job, folder, out=out, key=recipe_key(recipe))


def _recipe(cell: Cell, dataset: Dataset, teacher: Path | None, teacher_outputs: Path | None) -> dict[str, Any]:
    inputs = {"data": dataset.key}
    if teacher is not None:
        inputs["teacher-dir"] = verified(teacher, stage="finetune")["key"]
    if teacher_outputs is not None:
        inputs["teacher-outputs"] = verified(teacher_outputs, stage="record")["key"]
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


def _teacher_opener(
    cell: Cell, dataset: Dataset, teacher: Path | None, teacher_outputs: Path | None
) -> TeacherOpener | None:
    kind = METHODS[cell.method.objective].teacher_outputs
    if kind is None:
        return None
    states = kind == "cls-states"
    if teacher_outputs is not None:
        return lambda frame: open_recorded(
            teacher_outputs, example_ids=frame["example_id"].to_numpy(), data_key=dataset.key, states=states
        )
    if teacher is None:
        name = cell.method.objective
        raise UserError(f"method '{name}' needs a teacher; give --teacher-outputs, or --teacher-dir to run it live")
    return lambda frame: _live(teacher, frame, max_length=cell.training.max_length, states=states)


def _live(teacher: Path, frame: "pd.DataFrame", *, max_length: int, states: bool) -> TeacherOutputs:
    encodings = encode(load_tokenizer(teacher), *texts(frame), max_length=max_length)
    return LiveTeacher(load_model(teacher), encodings, states=states)
