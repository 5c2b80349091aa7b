"""Training of supernets, and quality of candidates as their slices."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.core.finished import open_finished
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.search.architecture import Architecture, Shape
from distilgrid.search.estimators.lessons import Lessons
from distilgrid.search.estimators.registry import SEED, homogeneous
from distilgrid.search.estimators.sandwich import Sandwich
from distilgrid.search.estimators.settings import SupernetSettings
from distilgrid.search.estimators.supernet import Supernet, make_supernet
from distilgrid.search.loop import Estimate
from distilgrid.search.space import AnySpace, Space
from distilgrid.training.checkpoint import NOWHERE, Checkpoints
from distilgrid.training.placement import exact_products
from distilgrid.training.predictor import evaluate, predict

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def train_supernet(lessons: Lessons[SupernetSettings], space: Space, *, checkpoints: Checkpoints = NOWHERE) -> Supernet:
    """Train a supernet on a task, from the weights of the fine-tuned teacher if there is one, else of the origin.

    Raises UserError when an input is missing or damaged, or the loss is not finite. Raises Interrupted when the process
    was asked to stop; the state is saved.
    """
    torch.manual_seed(derive_seed(SEED, "init"))  # for a head that the origin lacks
    origin = load_model(lessons.sources.teacher or lessons.origin, outputs=lessons.dataset.outputs, auto=CLASSIFIER)
    supernet = make_supernet(origin, space, seed=derive_seed(SEED, "init"), layers=lessons.settings.layers)
    Sandwich(supernet, lessons, seed=derive_seed(SEED, "training"), checkpoints=checkpoints).run()
    return supernet


def open_slices(lessons: Lessons[SupernetSettings], space: AnySpace) -> "SupernetEstimator":
    """The estimator of a trained supernet's slices.

    Raises UserError when a file is missing or damaged, or it was trained for another space.
    """
    folder, space = lessons.sources.supernet, homogeneous(space)
    if folder is None:
        raise UserError("the estimator is a supernet: give --supernet, a folder made by `distilgrid supernet`")
    if open_finished(folder, stage="supernet").json("supernet.json")["space"] != space.model_dump():
        raise UserError(f"{folder}: trained for another space; train one for this one")
    return SupernetEstimator(Supernet(load_model(folder), space, layers=lessons.settings.layers), lessons)


def supernet_slice(folder: Path, architecture: Architecture) -> "PreTrainedModel":
    """Slice of a trained supernet as a separate model, in fp32 and evaluation mode.

    Raises UserError when a file is missing or damaged, or the space does not hold the architecture.
    """
    facts = open_finished(folder, stage="supernet").json("supernet.json")
    space = Space.model_validate(facts["space"])
    if not isinstance(architecture, Shape) or architecture not in space.shapes:
        raise UserError(f"{folder}: was trained for a space that does not hold {architecture.name}")
    return Supernet(load_model(folder), space, layers=facts["settings"]["layers"]).subnetwork(architecture)


@dataclass(frozen=True)
class SupernetEstimator:
    """Scores slices of a supernet."""

    supernet: Supernet
    lessons: Lessons[SupernetSettings]
    seed: int = SEED  # seed of drawn rows and of fine-tuning

    def estimate(self, architecture: Architecture) -> Estimate:
        """Score of the slice on `dev`, and soft loss to the teacher's logits on some training rows."""
        assert isinstance(architecture, Shape), "a supernet's slices have layers that are all alike"
        start, lessons = time.perf_counter(), self.lessons
        model = self.supernet.subnetwork(architecture)
        if lessons.settings.tuning_steps:
            rows = self._some(lessons.settings.tuning_steps * lessons.training.batch_size, "tuning")
            lessons.distil(model, seed=derive_seed(self.seed, "tuning"), some=rows)
        dev, metrics, kind = lessons.dev, lessons.dataset.metrics, lessons.dataset.task_kind
        placement = lessons.answering
        model.to(placement.device)
        with exact_products(placement.device):
            scores = evaluate(model, dev.encodings, dev.labels.numpy(), metrics, kind=kind, placement=placement)
            distance = self._distance(model)
        return Estimate(lessons.merit(scores), distance, time.perf_counter() - start)

    def _distance(self, model: "PreTrainedModel") -> float:
        lessons = self.lessons
        kind, placement = lessons.dataset.task_kind, lessons.answering
        rows = self._some(lessons.settings.probe_rows, "probe")
        logits = torch.from_numpy(predict(model, lessons.rows.encodings.take(rows), kind=kind, placement=placement))
        wanted = lessons.teacher.outputs(rows).logits.cpu()
        return float(kind.losses().soft(logits, wanted, temperature=lessons.settings.method.temperature))

    def _some(self, count: int, purpose: str) -> list[int]:
        """Up to `count` different training rows, in their order."""
        total = len(self.lessons.rows.labels)
        chooser = np.random.default_rng(derive_seed(self.seed, purpose))
        return sorted(chooser.choice(total, size=min(count, total), replace=False).tolist())
