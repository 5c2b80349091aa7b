"""Shared parts of our image models: configuration, normalisation of pixels, form of outputs.

They are transformers models, so that saving, loading and training work as for text models.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention


class ImageConfig(PretrainedConfig):
    """Configuration shared by all image architectures."""

    num_channels: int = 3  # 3 for colours, 1 for grey
    image_size: Sequence[int] = (32, 32)  # height and width in pixels
    image_mean: Sequence[float] = (0.5, 0.5, 0.5)  # statistics of each channel, for pixels in 0..1
    image_std: Sequence[float] = (0.5, 0.5, 0.5)
    num_hidden_layers: int = 8  # depth in the architecture's name
    hidden_size: int = 64  # channels of the last feature map, or units of the last hidden layer


class ImageModel(PreTrainedModel):  # type: ignore[misc,unused-ignore]
    """An image classifier without attention. Subclasses define `feature_maps` and `classified`."""

    main_input_name = "pixel_values"
    input_modalities = "image"
    normalises = True  # whether inputs are normalised in fp32, before the first weights

    def feature_maps(self, pixels: Tensor) -> list[Tensor]:
        """Normalised pixels (B, C, H, W) to feature maps (B, channels, height, width), first layer first."""
        raise NotImplementedError

    def classified(self, features: Tensor) -> Tensor:
        """The last feature maps to logits (B, outputs)."""
        raise NotImplementedError

    def forward(self, pixel_values: Tensor, output_hidden_states: bool = False) -> ImageClassifierOutputWithNoAttention:
        """Classify images (B, C, H, W) of 0 to 255, uint8 or floating; optionally return the feature maps."""
        maps = self.feature_maps(normalised(pixel_values, self.config))
        logits = self.classified(maps[-1])
        return ImageClassifierOutputWithNoAttention(
            logits=logits, hidden_states=tuple(maps) if output_hidden_states else None
        )

    def traceable(self) -> nn.Module:
        """The model as a module from pixels to logits, which exporters trace."""
        return PixelsToLogits(self)

    def set_attn_implementation(self, *_: Any, **__: Any) -> None:
        """Do nothing: these models have no attention."""

    def _init_weights(self, module: nn.Module) -> None:
        """Keep the weights that torch drew with the modules."""


class PixelsToLogits(nn.Module):
    """From pixels to logits; the normalisation takes few operators that every runtime has."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = model
        self.mean, self.std = (
            255 * torch.tensor(values)[:, None, None] for values in (model.config.image_mean, model.config.image_std)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Classify images (B, C, H, W) of 0 to 255: logits (B, outputs)."""
        maps = self.model.feature_maps((pixels.float() - self.mean) / self.std)
        return self.model.classified(maps[-1])


def normalised(pixels: Tensor, config: ImageConfig) -> Tensor:
    """(pixels / 255 - mean) / std in fp32: (B, C, H, W) in the memory format of the pixels."""
    values = pixels.to(torch.float32, copy=True)
    # A constant for each place of an image: one for each channel would mean loops over 3 numbers.
    mean, std = (
        torch.empty_like(values[:1]).copy_(255 * torch.tensor(constants, device=values.device)[:, None, None])
        for constants in (config.image_mean, config.image_std)
    )
    return values.sub_(mean).div_(std)


class ConvNorm(nn.Module):
    """relu(norm(conv(states)) + shortcut); `relu` tells whether to apply the ReLU."""

    def __init__(self, conv: nn.Conv2d, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.relu = relu

    def forward(self, states: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, O, H', W'); the shortcut has the shape of the result."""
        result: Tensor = self.norm(self.conv(states))
        if shortcut is not None:
            result = result + shortcut
        return F.relu(result) if self.relu else result
