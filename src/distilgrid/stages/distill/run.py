"""Stage `distill`: one cell of the grid, a student trained by one method."""

from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.core.loading import late, load
from distilgrid.methods.teaching import Sources, Teaching
from distilgrid.models.io import load_tokenizer
from distilgrid.models.settings import Student
from distilgrid.models.source import is_new, model_folder
from distilgrid.models.student import build_student, check_kinds
from distilgrid.stages.distill.declare import DistillSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.dataset import Dataset, open_augmented, open_dataset
from distilgrid.training.run import TrainingJob, run_job
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

new_model = late("distilgrid.models.new:new_model")
shaped = late("distilgrid.search.best:shaped")


def distill(settings: DistillSettings, job: Job) -> dict[str, Any]:
    """Train a student; returns its metrics."""
    course, sources = settings.course, _sources(job)
    dataset = open_dataset(sources.data)
    augmented = open_augmented(sources.augmented) if sources.augmented else None
    training_set = TrainingSet(dataset, settings.fraction, augmented)
    check_kinds(course.origin, dataset)
    method, found = course.method.settle(sources.tried, kind=dataset.task_kind)
    phases = method.phases(course.training, kind=dataset.task_kind)
    model, tokenizer = _student(settings, dataset, sources)
    training = TrainingJob(
        training_set=training_set,
        tokenizer=tokenizer,
        model=model,
        phases=phases,
        seed=settings.seed,
        init=course.student.init,
        execution=job.execution,
        predictor=load(method.predictor),
        teaching=Teaching(method, course.training, training_set, sources, tokenizer, settings.teacher_lengths),
        facts=found,
    )
    return run_job(training, job.folder, out=job.out, key=job.key)


def _sources(job: Job) -> Sources:
    """What the cell is made from."""
    return Sources(
        data=job.given("data").folder,
        augmented=job.folder_of("augmented"),
        teachers=job.folders("teacher-dir"),
        teacher_outputs=job.folders("teacher-outputs"),
        mixed_outputs=job.folders("mixed-outputs"),
        tried=job.folders("tried"),
        search=job.folder_of("search"),
        supernet=job.folder_of("supernet"),
    )


def _student(
    settings: DistillSettings, dataset: Dataset, sources: Sources
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase | None]":
    """The student as it begins, and its tokeniser, if it reads texts."""
    source, own = settings.course.origin, settings.course.student
    seed, teacher = derive_seed(settings.seed, "init"), sources.teacher
    student = own if own.found is None else shaped(own, sources.search)
    if is_new(source):
        return new_model(source, dataset, seed=seed), None
    origin = model_folder(source)
    inherits = student.init == "finetuned" and teacher is not None
    tokenizer = load_tokenizer(teacher if inherits and teacher else origin)
    if student.init == "supernet":
        return _slice(own, sources), tokenizer
    head = dataset.task_kind.predict().auto_model
    made = build_student(student, origin=origin, teacher=teacher, outputs=dataset.outputs, auto=head, seed=seed)
    return made, tokenizer


def _slice(student: Student, sources: Sources) -> "PreTrainedModel":
    """The slice of a supernet that a search found."""
    from distilgrid.search.best import found_architecture
    from distilgrid.search.estimators.supernet_estimator import supernet_slice

    if student.found is None or sources.search is None or sources.supernet is None:
        raise UserError("init: supernet needs the search and its supernet; give --search and --supernet")
    return supernet_slice(sources.supernet, found_architecture(sources.search, rank=student.found.rank))
