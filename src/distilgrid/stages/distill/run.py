"""Stage `distill`: one cell of the grid, a student trained by one method."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import trained_model, verified, writing
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed, recipe_key
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.teaching import Sources, Teaching
from distilgrid.models.io import load_tokenizer
from distilgrid.models.settings import Student
from distilgrid.models.source import is_new, model_folder, model_revision
from distilgrid.models.student import build_student, check_kinds, new_model
from distilgrid.plan.recipes import distill_recipe
from distilgrid.search.best import found_architecture, shaped
from distilgrid.signals.views.stream import main_stream
from distilgrid.tasks.augmented import open_augmented
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.training.execution import Execution
from distilgrid.training.run import Job, run_job
from distilgrid.training.settings import Training
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEFAULT = Execution()


@dataclass(frozen=True)
class Cell:
    """The settings of one cell."""

    method: BaseMethod
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
    check_kinds(cell.origin, dataset)
    method, found = cell.method.settle(sources.tried, kind=dataset.task_kind)
    student = shaped(cell.student, sources.search)
    phases = method.phases(cell.training, kind=dataset.task_kind)
    with writing(out, recipe=recipe, labels=labels) as folder:
        model, tokenizer = _student(student, cell, dataset, sources)
        job = Job(
            training_set=training_set,
            tokenizer=tokenizer,
            model=model,
            phases=phases,
            seed=cell.seed,
            init=cell.student.init,
            execution=execution,
            main=main_stream(training_set, phases[0].settings.views),
            teaching=Teaching(method, cell.training, training_set, sources),
            facts=found,
        )
        return run_job(job, folder, out=out, key=recipe_key(recipe))


def _student(
    student: Student, cell: Cell, dataset: Dataset, sources: Sources
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase | None]":
    """The student as it begins, and its tokeniser, if it reads texts."""
    seed, teacher = derive_seed(cell.seed, "init"), sources.teacher
    if is_new(cell.origin):
        return new_model(cell.origin, dataset, seed=seed), None
    origin = model_folder(cell.origin)
    inherits = student.init == "finetuned" and teacher is not None
    tokenizer = load_tokenizer(teacher if inherits and teacher else origin)
    if student.init == "supernet":
        return _slice(cell.student, sources), tokenizer
    return build_student(student, origin=origin, teacher=teacher, outputs=dataset.outputs, seed=seed), tokenizer


def _slice(student: Student, sources: Sources) -> "PreTrainedModel":
    """The slice of a supernet that a search found."""
    from distilgrid.search.estimators.supernet_estimator import supernet_slice

    if student.found is None or sources.search is None or sources.supernet is None:
        raise UserError("init: supernet needs the search and its supernet; give --search and --supernet")
    return supernet_slice(sources.supernet, found_architecture(sources.search, rank=student.found.rank))


def _recipe(cell: Cell, training_set: TrainingSet, sources: Sources) -> dict[str, Any]:
    several = {
        "teacher-dir": [trained_model(folder)["key"] for folder in sources.teachers],
        "tried": [trained_model(folder)["key"] for folder in sources.tried],
        "search": [verified(folder, stage="search")["key"] for folder in (sources.search,) if folder],
        "supernet": [verified(folder, stage="supernet")["key"] for folder in (sources.supernet,) if folder],
    }
    for option, folders in sources.recordings.items():
        several[option] = [verified(folder, stage="record")["key"] for folder in folders]
    inputs: dict[str, Any] = {"data": training_set.dataset.key}
    if training_set.augmented is not None:
        inputs["augmented"] = training_set.augmented.key
    inputs |= {name: keys[0] if len(keys) == 1 else keys for name, keys in several.items() if keys}
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
