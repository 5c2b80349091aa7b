"""Answers of models: forward passes as the Outputs that losses see, predictions, and their scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from distilgrid.models.shapes import check_one_width
from distilgrid.tasks.batching import Inputs, Samples, evaluation_batches
from distilgrid.tasks.kind import TaskKind, score
from distilgrid.training.objective import Outputs
from distilgrid.training.placement import Placement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = Placement()


def forward(model: "PreTrainedModel", inputs: Inputs, *, states: bool, tokens: bool = False) -> Outputs:
    """A model's outputs in fp32, on its device. Raises UserError for states of layers that differ in width.

    `states` adds the first token's state after each layer, `tokens` all tokens' states.
    """
    if "attention_mask" not in inputs:  # rows without tokens
        return Outputs(model(**{name: value.to(model.device) for name, value in inputs.items()}).logits.float())
    # A fused encoder (training/cpu) keeps the states of its layers, and takes masks as addends.
    fused = next((m for m in model.base_model.children() if hasattr(m, "layer_states")), None)
    mask = inputs["attention_mask"]
    padded = not bool(mask.all())
    given = {name: value.to(model.device) for name, value in inputs.items() if name != "attention_mask"}
    if padded:
        given["attention_mask"] = (mask if fused is None else _additive(mask)).to(model.device)
    result = model(**given, output_hidden_states=(states or tokens) and fused is None)
    if not (states or tokens):
        return Outputs(result.logits.float())
    layers = result.hidden_states[1:] if fused is None else fused.layer_states  # each (B, L, H)
    first = _stacked([layer[:, 0] for layer in layers]) if states else None
    return Outputs(result.logits.float(), first, _tokens(layers, mask) if tokens else None)


def _tokens(layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """States (B, L, H) of each layer without padding: (T, layers, H)."""
    inside = mask.flatten().nonzero()[:, 0].to(layers[0].device)
    return _stacked([layer.flatten(0, 1)[inside] for layer in layers])


def _stacked(layers: Sequence[Tensor]) -> Tensor:
    """States of all layers, (N, H) each, as (N, layers, H), fp32. Raises UserError for layers of different widths."""
    check_one_width([layer.shape[-1] for layer in layers])
    return torch.stack(list(layers), dim=1).float()


def _additive(mask: Tensor) -> Tensor:
    """Turn a mask (B, L) of 1 and 0 into addends of scores (B, 1, 1, L): 0 and the lowest bf16 number."""
    return ((1 - mask) * torch.finfo(torch.bfloat16).min)[:, None, None, :]


class Predictor(Protocol):
    """How a trained model answers: by its forward pass, or with more than its weights, such as retrieved rows."""

    def __call__(
        self, model: "PreTrainedModel", encodings: Samples, *, kind: TaskKind, placement: Placement
    ) -> np.ndarray:
        """Outputs (N, ...) on every row, in row order."""


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
    predictor: Predictor = predict,
) -> dict[str, float]:
    """Scores of a model on one split."""
    outputs = predictor(model, encodings, kind=kind, placement=placement)
    return score(kind, metrics, labels=labels, outputs=outputs)
