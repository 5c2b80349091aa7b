"""Predictions and the scores made of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.training.batching import Encodings, evaluation_batches
from distilgrid.training.metrics import score

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EVALUATION_BATCH = 64


@torch.inference_mode()
def predict(model: "PreTrainedModel", encodings: Encodings) -> np.ndarray:
    """Logits of every row in fp32, in row order: (N, C). The model is left in the mode it came in."""
    training = model.training
    model.eval()
    logits = np.empty((len(encodings), model.config.num_labels), dtype=np.float32)
    for rows in evaluation_batches(encodings.lengths, batch_size=EVALUATION_BATCH):
        logits[rows] = model(**encodings.batch(rows)).logits.float().numpy()
    model.train(training)
    return logits


def evaluate(
    model: "PreTrainedModel", encodings: Encodings, labels: np.ndarray, metrics: Sequence[str]
) -> dict[str, float]:
    """The scores of a model on one split."""
    return score(metrics, labels=labels, logits=predict(model, encodings))
