"""Training of supernets, and quality of candidates as their slices."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.search.architecture import Architecture
from distilgrid.search.estimators.base import Estimate
from distilgrid.search.estimators.lessons import Lessons
from distilgrid.search.estimators.sandwich import Sandwich
from distilgrid.search.estimators.settings import SupernetSettings
from distilgrid.search.estimators.supernet import Supernet, make_supernet
from distilgrid.search.space import Shape, Space
from distilgrid.tasks.batching import Rows
from distilgrid.training.checkpoint import NOWHERE, Checkpoints
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement
from distilgrid.training.predictor import evaluate, predict
from distilgrid.training.teacher import StoredTeacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def train_supernet(
    settings: SupernetSettings,
    lessons: Lessons,
    space: Space,
    *,
    seed: int,
    placement: Placement,
    checkpoints: Checkpoints = NOWHERE,
) -> Supernet:
    """Train a supernet on a task, from the weights of the fine-tuned teacher if there is one, else of the origin.

    Raises UserError when an input is missing or damaged, or the loss is not finite. Raises Interrupted when the process
    was asked to stop; the state is saved.
    """
    torch.manual_seed(derive_seed(seed, "init"))  # for a head that the origin lacks
    origin = load_model(lessons.sources.teacher or lessons.origin, outputs=lessons.dataset.outputs, auto=CLASSIFIER)
    supernet = make_supernet(origin, space, seed=derive_seed(seed, "init"), layers=settings.layers)
    Sandwich(
        supernet,
        kind=lessons.dataset.task_kind,
        rows=lessons.rows,
        teacher=lessons.teacher,
        settings=settings,
        training=lessons.training,
        seed=derive_seed(seed, "training"),
        placement=placement,
        checkpoints=checkpoints,
    ).run()
    return supernet


def open_supernet(folder: Path, space: Space, *, layers: Literal["first", "spread"]) -> Supernet:
    """Open a supernet that the stage `supernet` trained.

    Raises UserError when a file is missing or damaged, or it was trained for another space.
    """
    verified(folder, stage="supernet")
    if read_json(folder / "supernet.json")["space"] != space.model_dump():
        raise UserError(f"{folder}: trained for another space; train one for this one")
    return Supernet(load_model(folder), space, layers=layers)


def supernet_slice(folder: Path, architecture: Architecture) -> "PreTrainedModel":
    """Slice of a trained supernet as a separate model, in fp32 and evaluation mode.

    Raises UserError when a file is missing or damaged, or the space does not hold the architecture.
    """
    verified(folder, stage="supernet")
    facts = read_json(folder / "supernet.json")
    space = Space.model_validate(facts["space"])
    if not isinstance(architecture, Shape) or architecture not in space.shapes:
        raise UserError(f"{folder}: was trained for a space that does not hold {architecture.name}")
    return Supernet(load_model(folder), space, layers=facts["settings"]["layers"]).subnetwork(architecture)


@dataclass(frozen=True)
class SupernetEstimator:
    """Scores slices of a supernet."""

    supernet: Supernet
    settings: SupernetSettings
    lessons: Lessons  # rows and teacher outputs of `settings.method`
    seed: int  # seed of drawn rows and of fine-tuning
    placement: Placement = field(default_factory=Placement)  # device and precision of fine-tuning

    def estimate(self, architecture: Architecture) -> Estimate:
        """Score of the slice on `dev`, and soft loss to the teacher's logits on some training rows."""
        assert isinstance(architecture, Shape), "a supernet's slices have layers that are all alike"
        start, lessons = time.perf_counter(), self.lessons
        model = self.supernet.subnetwork(architecture)
        if self.settings.tuning_steps:
            self._tune(model)
        dev, metrics = lessons.dev, lessons.dataset.metrics
        kind = lessons.dataset.task_kind
        score = evaluate(model, dev.encodings, dev.labels.numpy(), metrics, kind=kind)[metrics[0]]
        merit = kind.metrics[metrics[0]].merit(score)
        return Estimate(merit, self._distance(model), time.perf_counter() - start)

    def _tune(self, model: "PreTrainedModel") -> None:
        """Fine-tune with the largest's method, on rows that are the same for all slices."""
        lessons, count = self.lessons, self.settings.tuning_steps * self.lessons.training.batch_size
        rows = self._some(count, "tuning")
        training = lessons.training.model_copy(update={"epochs": 1})
        Trainer(
            model,
            self.settings.method.phases(training, kind=lessons.dataset.task_kind),
            rows=Rows(lessons.rows.encodings.take(rows), lessons.rows.labels[rows]),
            dev=lessons.dev,
            kind=lessons.dataset.task_kind,
            metrics=lessons.dataset.metrics,
            placement=self.placement,
            seed=derive_seed(self.seed, "tuning"),
            teacher=StoredTeacher(lessons.teacher.outputs(rows).logits.cpu()),
        ).run()

    def _distance(self, model: "PreTrainedModel") -> float:
        rows = self._some(self.settings.probe_rows, "probe")
        kind = self.lessons.dataset.task_kind
        logits = torch.from_numpy(predict(model, self.lessons.rows.encodings.take(rows), kind=kind))
        wanted = self.lessons.teacher.outputs(rows).logits.cpu()
        return float(kind.losses().soft(logits, wanted, temperature=self.settings.method.temperature))

    def _some(self, count: int, purpose: str) -> list[int]:
        """Up to `count` different training rows, in their order."""
        total = len(self.lessons.rows.labels)
        chooser = np.random.default_rng(derive_seed(self.seed, purpose))
        return sorted(chooser.choice(total, size=min(count, total), replace=False).tolist())
