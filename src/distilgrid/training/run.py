"""Train one model on prepared data and write its artefact's files: shared by the stages `finetune` and `distill`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distilgrid.artefacts import write_json
from distilgrid.distillation.objective import Objective
from distilgrid.distillation.teacher import TeacherOutputs
from distilgrid.execution import Execution
from distilgrid.job import stopping_gently
from distilgrid.models.io import count_parameters, save_model
from distilgrid.tasks.dataset import Dataset
from distilgrid.tasks.rows import limit_rows
from distilgrid.training.batching import Rows
from distilgrid.training.checkpoint import Checkpoints
from distilgrid.training.device import choose_device, prepare_device
from distilgrid.training.efficiency import efficiency
from distilgrid.training.evaluation import predict
from distilgrid.training.loop import Outcome, Trainer
from distilgrid.training.metrics import score
from distilgrid.training.parallel import joined_world
from distilgrid.training.placement import Placement, choose_precision
from distilgrid.training.settings import Training
from distilgrid.training.tokens import subset, tokenised

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TeacherOpener = Callable[["pd.DataFrame"], TeacherOutputs]


@dataclass(frozen=True)
class Job:
    """One model to train.

    Attributes:
        dataset: prepared data.
        tokenizer: the model's own.
        model: initialised; changed in place.
        objective: the method's losses.
        settings: training settings.
        seed: of shuffling and dropout.
        fraction: share of the training rows, the same subset for every method.
        subset_seed: seed of that subset; independent of `seed`.
        init: where the weights came from, for tables.
        execution: how the job runs.
        open_teacher: gives the teacher's outputs for the chosen training rows, for methods that need them.
    """

    dataset: Dataset
    tokenizer: "PreTrainedTokenizerBase"
    model: "PreTrainedModel"
    objective: Objective
    settings: Training
    seed: int
    init: str
    fraction: float = 1.0
    subset_seed: int = 0
    execution: Execution = field(default_factory=Execution)
    open_teacher: TeacherOpener | None = None


def run_job(job: Job, folder: Path, *, out: Path, key: str) -> dict[str, Any]:
    """Train, select on dev, score on the validation splits, write the files; returns `metrics.json`.

    Args:
        job: what to train.
        folder: where to write the files.
        out: the artefact's own folder, which keeps the state of an unfinished run.
        key: the artefact's recipe key.

    Raises:
        Interrupted: when the process was asked to stop; the state is saved.
    """
    execution = job.execution
    device = choose_device(execution.device)
    with joined_world(execution.processes, cuda=device.type == "cuda") as world, stopping_gently() as stop:
        placement = Placement(device, choose_precision(job.settings.precision, device), world)
        prepare_device(placement, deterministic=execution.deterministic)
        checkpoints = Checkpoints(out, key=key, seconds=execution.checkpoint_seconds, stop=stop)
        frame = training_rows(job)
        teacher = job.open_teacher(frame) if job.open_teacher else None
        outcome = _train(job, frame, teacher, placement, checkpoints)
        if world.rank > 0:
            return {}
    predicted = _predictions(job)
    save_model(job.model, job.tokenizer, folder)
    outcome.history.write(folder / "history.parquet")
    predicted.to_parquet(folder / "predictions.parquet", index=False)
    metrics = _metrics(job, outcome, predicted, train_rows=len(frame))
    metrics |= efficiency(job.model, outcome, placement, batch=job.settings.batch_size)
    metrics["teacher_forwards"] = teacher.forwards if teacher else 0
    metrics["size_bytes"] = (folder / "model.safetensors").stat().st_size
    write_json(folder / "metrics.json", metrics)
    return metrics


def _train(
    job: Job, frame: "pd.DataFrame", teacher: TeacherOutputs | None, placement: Placement, checkpoints: Checkpoints
) -> Outcome:
    _name_labels(job.model, job.dataset)
    return Trainer(
        job.model,
        job.objective,
        rows=_rows(job, "train", frame),
        dev=_rows(job, "dev", job.dataset.split("dev")),
        metrics=job.dataset.metrics,
        settings=job.settings,
        placement=placement,
        seed=job.seed,
        teacher=teacher,
        checkpoints=checkpoints,
    ).run(trace=job.execution.profile)


def training_rows(job: Job) -> "pd.DataFrame":
    """The training rows of a job: all, or the seeded, stratified share that every method of the grid gets.

    The column `row` holds each row's number in the whole split.
    """
    frame = job.dataset.split("train")
    frame = frame.assign(row=np.arange(len(frame)))
    if job.fraction >= 1:
        return frame
    wanted = max(1, round(job.fraction * len(frame)))
    return limit_rows(frame, wanted, seed=job.subset_seed, regression=job.dataset.regression, purpose="fraction")


def _rows(job: Job, split: str, frame: "pd.DataFrame") -> Rows:
    """The tokenised rows of a frame that holds a split, or the part of it that its column `row` names."""
    labels = torch.from_numpy(frame["label"].to_numpy().copy())
    encodings = tokenised(job.dataset, split, tokenizer=job.tokenizer, max_length=job.settings.max_length)
    if len(frame) < len(encodings):
        encodings = subset(encodings, frame["row"].tolist())
    return Rows(encodings, labels.float() if job.dataset.regression else labels.long())


def _name_labels(model: "PreTrainedModel", dataset: Dataset) -> None:
    """Write the task's labels into the model's configuration, so that the saved model explains its outputs."""
    model.config.problem_type = "regression" if dataset.regression else "single_label_classification"
    if dataset.labels:
        model.config.id2label = dict(enumerate(dataset.labels))
        model.config.label2id = {label: i for i, label in enumerate(dataset.labels)}


def _predictions(job: Job) -> "pd.DataFrame":
    """Logits on every row of every validation split."""
    import pandas as pd

    parts = []
    for split in job.dataset.validation:
        frame = job.dataset.split(split)
        logits = predict(job.model, _rows(job, split, frame).encodings)
        part = pd.DataFrame({"split": split, "example_id": frame["example_id"], "label": frame["label"]})
        parts.append(part.assign(logits=list(logits)))
    return pd.concat(parts, ignore_index=True)


def _metrics(job: Job, outcome: Outcome, predicted: "pd.DataFrame", *, train_rows: int) -> dict[str, Any]:
    dataset, config = job.dataset, job.model.config
    validation = {
        split: score(dataset.metrics, labels=part["label"].to_numpy(), logits=np.stack(part["logits"].to_list()))
        for split, part in predicted.groupby("split", sort=False)
    }
    return {
        "score": validation[dataset.validation[0]][dataset.metrics[0]],
        "score_name": dataset.metrics[0],
        "split": dataset.validation[0],
        "validation": validation,
        "dev": outcome.best_dev,
        "best_step": outcome.best_step,
        "steps": outcome.steps,
        "epochs": round(outcome.epochs, 3),
        "stopped_early": outcome.stopped_early,
        "parameters": count_parameters(job.model),
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "init": job.init,
        "train_rows": train_rows,
        "dev_rows": len(dataset.split("dev")),
    }
