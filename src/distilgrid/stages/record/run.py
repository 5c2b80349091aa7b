"""Stage `record`: run a teacher once and keep its outputs for every student."""

import math

from distilgrid.core.artefacts import STATE, write_json
from distilgrid.core.stopping import stopping_gently
from distilgrid.signals.asking import FILE, Asking
from distilgrid.signals.keeping import Keeping
from distilgrid.signals.provenance import teacher_facts
from distilgrid.stages.job import Job
from distilgrid.stages.record.declare import RecordSettings
from distilgrid.tasks.dataset import open_augmented, open_dataset
from distilgrid.training.checkpoint import Checkpoints
from distilgrid.training.placement import placement_of
from distilgrid.training.training_set import TrainingSet


def record(settings: RecordSettings, job: Job) -> None:
    """Write a teacher's outputs; those that an earlier job of the recipe wrote are kept.

    Raises Interrupted when the process was asked to stop.
    """
    dataset, folder = open_dataset(job.given("data").folder), job.folder_of("augmented")
    added = open_augmented(folder) if folder else None
    teacher = job.given("teacher-dir")
    rows = TrainingSet(dataset, settings.fraction, added)
    asked = settings.signal.teacher(Asking(rows, settings.max_length, teacher.folder))
    asked.move(placement_of(job.execution).device)
    with stopping_gently() as stop:
        seconds = job.execution.checkpoint_seconds
        file = Keeping(job.out / STATE / FILE, Checkpoints(job.out, key=job.key, seconds=seconds, stop=stop))
        manifest = asked.record(file)
    file.publish(job.folder / FILE)
    shapes = {name: list(shape) for name, (_, shape) in file.shapes.items()}
    count = math.prod(shapes["logits"][:-1])
    facts = {
        **teacher_facts(teacher.run),  # readers compare them with their own, and the length
        "max_length": settings.max_length if dataset.task_kind.tokenised else None,
        "rows": count,
        "shapes": shapes,
        "teacher_forwards": count,
    }
    write_json(job.folder / "manifest.json", manifest | facts)
