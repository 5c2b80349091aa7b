"""One model's forward pass, as the Outputs that losses see."""

from typing import TYPE_CHECKING

import torch

from distilgrid.distillation.objective import Outputs
from distilgrid.training.batching import Inputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def forward(model: "PreTrainedModel", inputs: Inputs, *, states: bool) -> Outputs:
    """Logits, and on request the first token's state after each layer, in fp32."""
    result = model(**inputs, output_hidden_states=states)
    if not states:
        return Outputs(result.logits.float())
    layers = [layer[:, 0] for layer in result.hidden_states[1:]]  # the first entry is the embedding
    return Outputs(result.logits.float(), torch.stack(layers, dim=1).float())  # (B, layers, H)
