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

DEFAULT = Execution()


def finetune(
    *,
    data: Path,
    source: str,
    training: Training,
    seed: int,
    out: Path,
    labels: Mapping[str, Any],
    execution: Execution = DEFAULT,
) -> dict[str, Any]:
    """Train a teacher; returns its metrics.

    Raises:
        UserError: when data or model are missing or damaged.
    """
    dataset = open_dataset(data)
    recipe = finetune_recipe(model=model_revision(source), training=training, seed=seed, data=dataset.key)
    with writing(out, recipe=recipe, labels=labels) as folder:
        origin = model_folder(source)
        torch.manual_seed(derive_seed(seed, "init"))
        job = Job(
            dataset=dataset,
            tokenizer=load_tokenizer(origin),
            model=load_model(origin, outputs=dataset.outputs),
            objective=FinetuneObjective(Finetune(), regression=dataset.regression),
            settings=training,
            seed=seed,
            init="pretrained",
            execution=execution,
        )
        return run_job(job, folder, out=out, key=recipe_key(recipe))
