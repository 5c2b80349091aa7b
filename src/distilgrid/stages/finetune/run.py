"""Stage `finetune`: a pretrained model, trained on a task's hard labels, that will teach."""

from typing import TYPE_CHECKING, Any

import torch

from distilgrid.core.fingerprint import derive_seed
from distilgrid.core.loading import late
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.models.source import is_new, model_folder
from distilgrid.models.student import check_kinds
from distilgrid.stages.finetune.declare import FinetuneSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.training.run import TrainingJob, run_job
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

new_model = late("distilgrid.models.new:new_model")


def finetune(settings: FinetuneSettings, job: Job) -> dict[str, Any]:
    """Train a teacher; returns its metrics."""
    dataset, source = open_dataset(job.given("data").folder), settings.source
    check_kinds(source, dataset)
    new, seed = is_new(source), derive_seed(settings.seed, "init")
    torch.manual_seed(seed)
    rows = TrainingSet(dataset, settings.fraction)
    training = TrainingJob(
        training_set=rows,
        tokenizer=None if new else load_tokenizer(model_folder(source)),
        model=new_model(source, dataset, seed=seed) if new else _pretrained(source, dataset),
        phases=Finetune().phases(settings.training, kind=dataset.task_kind),
        seed=settings.seed,
        init="scratch" if new else "pretrained",
        execution=job.execution,
    )
    return run_job(training, job.folder, out=job.out, key=job.key)


def _pretrained(source: str, dataset: Dataset) -> "PreTrainedModel":
    head = dataset.task_kind.predict().auto_model
    return load_model(model_folder(source), outputs=dataset.outputs, auto=head)
