"""Stage `finetune`: a pretrained model, trained on a task's hard labels, that will teach."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distilgrid.artefacts import writing
from distilgrid.distillation.finetune import FinetuneObjective
from distilgrid.distillation.settings import Finetune
from distilgrid.execution import Execution
from distilgrid.fingerprint import derive_seed, recipe_key
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.models.source import model_folder, model_revision
from distilgrid.recipes import finetune_recipe
from distilgrid.tasks.dataset import open_dataset
from distilgrid.training.run import Job, run_job
from distilgrid.training.settings import Training
from distilgrid.training.training_set import TrainingSet

DEFAULT = Execution()


def finetune(
    *,
    data: Path,
    source: str,
    training: Training,
    seed: int,
    out: Path,
    labels: Mapping[str, Any],
    fraction: float = 1.0,
    subset_seed: int = 0,
    execution: Execution = DEFAULT,
) -> dict[str, Any]:
    """Train a teacher; returns its metrics.

    Args:
        data: prepared data.
        source: of the pretrained model.
        training: training settings.
        seed: of training.
        out: where the artefact goes.
        labels: what `run.json` says about it.
        fraction: share of the training rows.
        subset_seed: of that share.
        execution: how the job runs.

    Raises:
        UserError: when data or model are missing or damaged.
    """
    dataset = open_dataset(data)
    model = model_revision(source)
    recipe = finetune_recipe(model=model, training=training, seed=seed, data=dataset.key, fraction=fraction)
    with writing(out, recipe=recipe, labels=labels) as folder:
        origin = model_folder(source)
        torch.manual_seed(derive_seed(seed, "init"))
        job = Job(
            training_set=TrainingSet(dataset, fraction, subset_seed),
            tokenizer=load_tokenizer(origin),
            model=load_model(origin, outputs=dataset.outputs),
            objective=FinetuneObjective(Finetune(), regression=dataset.regression),
            settings=training,
            seed=seed,
            init="pretrained",
            execution=execution,
        )
        return run_job(job, folder, out=out, key=recipe_key(recipe))
