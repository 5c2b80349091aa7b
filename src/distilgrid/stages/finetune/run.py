"""Stage `finetune`: a pretrained model, trained on a task's hard labels, that will teach."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distilgrid.core.artefacts import writing
from distilgrid.core.fingerprint import derive_seed, recipe_key
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.models.source import is_new, model_folder, model_revision
from distilgrid.models.student import check_kinds, new_model
from distilgrid.plan.recipes import finetune_recipe
from distilgrid.signals.views.stream import main_stream
from distilgrid.tasks.dataset import open_dataset
from distilgrid.training.execution import Execution
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
    check_kinds(source, dataset)
    recipe = finetune_recipe(model=model, training=training, seed=seed, data=dataset.key, fraction=fraction)
    with writing(out, recipe=recipe, labels=labels) as folder:
        new = is_new(source)
        init_seed = derive_seed(seed, "init")
        torch.manual_seed(init_seed)
        rows = TrainingSet(dataset, fraction, subset_seed)
        job = Job(
            training_set=rows,
            main=main_stream(rows, training.views),
            tokenizer=None if new else load_tokenizer(model_folder(source)),
            model=new_model(source, dataset, seed=init_seed)
            if new
            else load_model(model_folder(source), outputs=dataset.outputs),
            phases=Finetune().phases(training, kind=dataset.task_kind),
            seed=seed,
            init="scratch" if new else "pretrained",
            execution=execution,
        )
        return run_job(job, folder, out=out, key=recipe_key(recipe))
