"""Predictions and scores of models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.tasks.batching import Samples, evaluation_batches
from distilgrid.tasks.kind import TaskKind, score
from distilgrid.training.forward import forward
from distilgrid.training.placement import Placement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = Placement()


@torch.inference_mode()
def predict(
    model: "PreTrainedModel", encodings: Samples, *, kind: TaskKind, placement: Placement = PLAIN
) -> np.ndarray:
    """Outputs (N, ...) on every row, in row order, at the placement's precision. The model keeps its mode."""
    training = model.training
    model.eval()
    made = kind.predict().allocate(len(encodings), model.config)
    for rows in evaluation_batches(encodings.lengths):
        with placement.autocast():
            outputs = forward(model, encodings.batch(rows), states=False)
        made[rows] = outputs.logits.cpu().numpy()
    model.train(training)
    return made


def evaluate(
    model: "PreTrainedModel",
    encodings: Samples,
    labels: np.ndarray,
    metrics: Sequence[str],
    *,
    kind: TaskKind,
    placement: Placement = PLAIN,
) -> dict[str, float]:
    """Scores of a model on one split."""
    return score(kind, metrics, labels=labels, outputs=predict(model, encodings, kind=kind, placement=placement))
