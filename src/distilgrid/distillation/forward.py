"""One model's forward pass, as the Outputs that losses see."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.distillation.objective import Outputs
from distilgrid.training.batching import Inputs
from distilgrid.training.fused_encoder import FusedEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def forward(model: "PreTrainedModel", inputs: Inputs, *, states: bool) -> Outputs:
    """Logits, and on request the first token's state after each layer, in fp32, on the model's device."""
    if "pixel_values" in inputs:
        return Outputs(model(inputs["pixel_values"].to(model.device)).logits.float())
    fused = next((m for m in model.base_model.children() if isinstance(m, FusedEncoder)), None)
    mask = inputs["attention_mask"]
    padded = not bool(mask.all())
    given = {name: value.to(model.device) for name, value in inputs.items() if name != "attention_mask"}
    if padded:
        given["attention_mask"] = (mask if fused is None else _additive(mask)).to(model.device)
    result = model(**given, output_hidden_states=states and fused is None)
    if not states:
        return Outputs(result.logits.float())
    layers = [layer[:, 0] for layer in result.hidden_states[1:]] if fused is None else fused.cls_states
    return Outputs(result.logits.float(), torch.stack(list(layers), dim=1).float())  # (B, layers, H)


def _additive(mask: Tensor) -> Tensor:
    """(B, L) of 1 and 0 to what is added to attention scores: (B, 1, 1, L) of 0 and the lowest bf16 number."""
    return ((1 - mask) * torch.finfo(torch.bfloat16).min)[:, None, None, :]
