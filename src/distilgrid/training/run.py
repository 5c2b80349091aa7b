"""Training of one model on prepared data, and its artefact's files, for the stages `finetune` and `distill`."""

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from distilgrid.core.artefacts import RANK, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.core.loading import late, load
from distilgrid.core.stopping import stopping_gently
from distilgrid.models.io import count_parameters, save_model
from distilgrid.tasks.batching import Rows, Tokenizer
from distilgrid.tasks.dataset import Dataset
from distilgrid.tasks.kind import score
from distilgrid.training.checkpoint import Checkpoints
from distilgrid.training.loop import Trainer
from distilgrid.training.objective import Phase
from distilgrid.training.outcome import Outcome
from distilgrid.training.placement import ALONE, Placement, World, choose_device, exact_products, placement_of
from distilgrid.training.predictor import Predictor, predict
from distilgrid.training.settings import Execution, Training
from distilgrid.training.streams import Extra, OpenMain, OpensTeaching, RowStream
from distilgrid.training.teacher import TeacherOutputs
from distilgrid.training.training_set import TrainingSet, label_tensor, read_split

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
PROBE_ROWS = 1000
check_loaded = late("distilgrid.models.facts:check_loaded")
efficiency = late("distilgrid.training.efficiency:efficiency")  # no result depends on it


@dataclass(frozen=True)
class TrainingJob:
    """One model to train."""

    training_set: TrainingSet  # rows to train on, and the prepared data behind them
    tokenizer: Tokenizer  # tokeniser of the model; None for images
    model: "PreTrainedModel"  # initialised model, changed in place
    phases: Sequence[Phase]  # losses and training settings of the method
    seed: int  # seed of shuffling and dropout
    init: str  # origin of the weights, for tables
    execution: Execution = field(default_factory=Execution)  # execution settings
    predictor: Predictor = predict  # how the model answers when it is scored
    teaching: OpensTeaching | None = None  # opens teachers and additional samples
    facts: Mapping[str, Any] = field(default_factory=dict)  # further facts for `metrics.json`

    @property
    def dataset(self) -> Dataset:
        """The prepared data."""
        return self.training_set.dataset

    @property
    def settings(self) -> Training:
        """Training settings of the first phase; those apart from optimisation hold for all phases."""
        return self.phases[0].settings


def run_job(job: TrainingJob, folder: Path, *, out: Path, key: str) -> dict[str, Any]:
    """Train, select on dev, score on the validation splits and write the files to `folder`; return `metrics.json`.

    `out`, the artefact's folder, keeps the state of an unfinished run under the recipe key. Raises Interrupted when the
    process was asked to stop; the state is saved.
    """
    execution = job.execution
    _check_whole_batches(job)
    check_loaded(job.model, job.tokenizer, job.settings.max_length)
    with _world(execution) as world, stopping_gently() as stop:
        placement = placement_of(execution, precision=job.settings.precision, world=world)
        checkpoints = Checkpoints(out, key=key, seconds=execution.checkpoint_seconds, stop=stop)
        teacher = job.teaching.outputs() if job.teaching else None
        extras = job.teaching.extras() if job.teaching else ()
        outcome = _train(job, teacher, extras, placement, checkpoints)
        if world.rank > 0:
            return {}
    predicted = _predictions(job, placement.device)
    save_model(job.model, job.tokenizer, folder)
    outcome.history.write(folder / "history.parquet")
    predicted.to_parquet(folder / "predictions.parquet", index=False)
    metrics = _metrics(job, outcome, predicted, train_rows=len(job.training_set))
    metrics |= _gap(outcome)
    metrics |= efficiency(job.model, outcome, placement, batch=job.settings.batch_size)
    asked = (teacher, *(extra.teacher for extra in extras))
    metrics["teacher_forwards"] = sum(source.forwards for source in asked if source)
    metrics |= job.facts
    metrics["size_bytes"] = (folder / "model.safetensors").stat().st_size
    write_json(folder / "metrics.json", metrics)
    return metrics


def _world(execution: Execution) -> contextlib.AbstractContextManager[World]:
    """The processes of the job; a single one is alone."""
    if execution.processes == 1 and RANK not in os.environ:
        return contextlib.nullcontext(ALONE)
    from distilgrid.training.parallel import joined_world

    return joined_world(execution.processes, cuda=choose_device(execution.device).type == "cuda")


def _train(
    job: TrainingJob,
    teacher: TeacherOutputs | None,
    extras: Sequence[Extra],
    placement: Placement,
    checkpoints: Checkpoints,
) -> Outcome:
    job.dataset.task_kind.predict().describe(job.model.config, job.dataset.labels)
    watched = _rows(job, job.dataset.validation[0]) if job.settings.watch_validation else None
    return Trainer(
        job.model,
        job.phases,
        rows=job.training_set.rows(job.tokenizer, max_length=job.settings.max_length),
        dev=_rows(job, "dev"),
        kind=job.dataset.task_kind,
        metrics=job.dataset.metrics,
        placement=placement,
        seed=job.seed,
        teacher=teacher,
        main=_main(job),
        extras=extras,
        probe=_probe(job),
        watched=watched,
        checkpoints=checkpoints,
        predictor=job.predictor,
    ).run(trace=job.execution.profile)


def _main(job: TrainingJob) -> OpenMain:
    """The stream of the training rows: as they are, or as the task kind changes them with each epoch."""
    own = job.dataset.task_kind.stream
    opened: OpenMain = load(own)(job.training_set, job.settings.views) if own else RowStream
    return opened


def _check_whole_batches(job: TrainingJob) -> None:
    """Refuse batches in parts for batch norm, whose statistics are those of a whole batch, and for losses over rows."""
    if any(isinstance(module, BatchNorm) for module in job.model.modules()):
        what = "a model with batch norm"
    elif any(phase.objective(0.0).needs_batch for phase in job.phases):
        what = "a method that compares rows"
    else:
        return
    if job.execution.processes > 1:
        raise UserError(f"resources.processes: {what} is trained by one process; set it to 1")
    if any(phase.settings.accumulation > 1 for phase in job.phases):
        raise UserError(f"training.accumulation: {what} takes whole batches; set it to 1")


def _probe(job: TrainingJob) -> list[int]:
    """Some prepared training rows, up to the size of the main validation split: the same for every method."""
    rows, limit = len(job.training_set.chosen), min(PROBE_ROWS, job.dataset.splits[job.dataset.validation[0]]["rows"])
    chooser = np.random.default_rng(derive_seed(0, "probe"))
    return sorted(chooser.choice(rows, size=min(rows, limit), replace=False).tolist())


def _rows(job: TrainingJob, split: str) -> Rows:
    """Rows of a whole split as the model reads them."""
    samples = read_split(job.dataset, split, tokenizer=job.tokenizer, max_length=job.settings.max_length)
    return Rows(samples, label_tensor(job.dataset.split(split), job.dataset))


def _predictions(job: TrainingJob, device: torch.device) -> "pd.DataFrame":
    """Outputs on every row of every validation split, in fp32; the model ends on the CPU."""
    import pandas as pd

    parts, kind, model = [], job.dataset.task_kind, job.model.to(device)
    for split in job.dataset.validation:
        frame = job.dataset.split(split)
        with exact_products(device):
            outputs = job.predictor(model, _rows(job, split).encodings, kind=kind, placement=Placement(device))
        part = pd.DataFrame({"split": split, "example_id": frame["example_id"], "label": frame["label"]})
        parts.append(part.assign(**job.dataset.ids(split), logits=list(outputs)))
    model.to("cpu")
    return pd.concat(parts, ignore_index=True)


def _gap(outcome: Outcome) -> dict[str, float]:
    """Loss on unseen rows minus loss on training rows, both on hard labels: the subject of MixKD's theory.

    Rows of `dev` are drawn from where the training rows are; a validation split may differ in other ways too.
    """
    if outcome.probe_loss is None or outcome.dev_loss is None:
        return {}
    losses = {"train_loss": outcome.probe_loss, "dev_loss": outcome.dev_loss}
    return losses | {"generalisation_gap": outcome.dev_loss - outcome.probe_loss}


def _metrics(job: TrainingJob, outcome: Outcome, predicted: "pd.DataFrame", *, train_rows: int) -> dict[str, Any]:
    dataset, config, validation, constant = job.dataset, job.model.config, {}, True
    for split, part in predicted.groupby("split", sort=False):
        labels, outputs = part["label"].to_numpy(), dataset.task_kind.predict().stored(part)
        validation[split] = score(dataset.task_kind, dataset.metrics, labels=labels, outputs=outputs)
        constant = constant and len(np.unique(dataset.task_kind.predict().decode(outputs))) == 1
    if constant:
        log.warning("the model answers the same for every row: it learned nothing; train it longer, or at another rate")
    return {
        "score": validation[dataset.validation[0]][dataset.metrics[0]],
        "score_name": dataset.metrics[0],
        "split": dataset.validation[0],
        "validation": validation,
        **({"constant": True} if constant else {}),
        "dev": outcome.best_dev,
        "best_step": outcome.best_step,
        **({"phases": outcome.phases} if outcome.phases else {}),
        **({} if outcome.watched is None else {"optimistic_score": outcome.watched}),
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
