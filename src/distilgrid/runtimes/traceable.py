"""Classifiers in the form that exporters trace: positional inputs, and logits as the only output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from distilgrid.models.image_model import ImageModel
from distilgrid.runtimes.first_token import first_token_only

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def traceable(model: "PreTrainedModel", names: Sequence[str]) -> nn.Module:
    """A classifier in evaluation mode that takes inputs in the order of `names` and returns logits (B, C).

    The last layer of a model of texts computes the first token alone (`first_token_only`).
    """
    return (_ImageLogits(model) if isinstance(model, ImageModel) else _TextLogits(model, names)).eval()


class _TextLogits(nn.Module):
    def __init__(self, model: "PreTrainedModel", names: Sequence[str]) -> None:
        super().__init__()
        self.model = first_token_only(model)
        self.names = list(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        named = dict(zip(self.names, inputs, strict=True))
        logits: Tensor = self.model(**named).logits
        return logits


class _ImageLogits(nn.Module):
    """From pixels to logits; the normalisation takes few operators that every runtime has."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = model
        self.mean, self.std = (
            255 * torch.tensor(values)[:, None, None] for values in (model.config.image_mean, model.config.image_std)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.model.feature_maps((pixels.float() - self.mean) / self.std)
        return self.model.classified(maps[-1])
