"""Stage `record`: run a teacher once and keep its outputs for every student."""

from safetensors.torch import save_file

from distilgrid.core.artefacts import write_json
from distilgrid.signals.asking import FILE, Asking
from distilgrid.signals.provenance import teacher_facts
from distilgrid.stages.job import Job
from distilgrid.stages.record.declare import RecordSettings
from distilgrid.tasks.dataset import open_augmented, open_dataset
from distilgrid.training.placement import placement_of
from distilgrid.training.training_set import TrainingSet


def record(settings: RecordSettings, job: Job) -> None:
    """Write a teacher's outputs."""
    dataset, folder = open_dataset(job.given("data").folder), job.folder_of("augmented")
    added = open_augmented(folder, dataset=dataset) if folder else None
    teacher = job.given("teacher-dir")
    rows = TrainingSet(dataset, settings.fraction, added)
    asked = settings.signal.teacher(Asking(rows, settings.max_length, teacher.folder))
    asked.move(placement_of(job.execution).device)
    tensors, manifest = asked.record()
    save_file(tensors, job.folder / FILE)
    count = tensors["logits"].shape[:-1].numel()
    facts = {
        **teacher_facts(teacher.run),  # readers compare them with their own, and the length
        "max_length": settings.max_length if dataset.task_kind.tokenised else None,
        "rows": count,
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "teacher_forwards": count,
    }
    write_json(job.folder / "manifest.json", manifest | facts)
