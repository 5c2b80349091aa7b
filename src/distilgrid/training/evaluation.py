"""Predictions and the scores made of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.tasks.batching import Samples, evaluation_batches
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.metrics import score
from distilgrid.training.forward import forward
from distilgrid.training.placement import Placement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = Placement()


@torch.inference_mode()
def predict(
    model: "PreTrainedModel", encodings: Samples, *, kind: TaskKind, placement: Placement = PLAIN
) -> np.ndarray:
    """Outputs on every row, in row order: (N, ...). The model is left in the mode it came in.

    Args:
        model: on its device.
        encodings: rows.
        kind: of the task.
        placement: whose precision to compute in; fp32 unless given.
    """
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
    """The scores of a model on one split."""
    return score(kind, metrics, labels=labels, outputs=predict(model, encodings, kind=kind, placement=placement))
