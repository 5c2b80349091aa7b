"""Plain CNNs for small images: the "plane" networks of Mirzadeh et al. 2020, "Improved Knowledge Distillation via
Teacher Assistant", which Annealing-KD (Jafari et al. 2021) uses too. `architectures.py` holds their tables.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from distilgrid.models.image_model import ConvNorm, ImageConfig, ImageModel


class PlainConfig(ImageConfig):
    """Configuration of a plain CNN."""

    model_type = "distilgrid-plain-cnn"

    # such as "16 16 M 32 M | 64". A number is a 3x3 convolution to that many channels with batch norm and ReLU, M a
    # maximum over 2x2 pixels. Numbers after the bar are fully connected layers with ReLU
    layers: str = "16 M 16 M"


class PlainCnn(ImageModel):
    """A plain CNN; its feature maps are those after each maximum, and the last ones."""

    config_class = PlainConfig

    def __init__(self, config: PlainConfig) -> None:
        super().__init__(config)
        convolutions, _, hidden = config.layers.partition("|")
        self.stages = nn.ModuleList()
        channels = config.num_channels
        for stage in _stages(convolutions):
            self.stages.append(PooledStage(channels, stage, pooled=len(self.stages) < convolutions.count("M")))
            channels = stage[-1]
        widths = [channels * math.prod(last_size(config.layers, config.image_size)), *map(int, hidden.split())]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.classifier = nn.Linear(widths[-1], config.num_labels)
        self.post_init()

    def feature_maps(self, pixels: Tensor) -> list[Tensor]:
        """(B, C, H, W) to one map after each stage."""
        maps = [pixels]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]

    def classified(self, features: Tensor) -> Tensor:
        """(B, channels, height, width) to logits."""
        states = features.flatten(1)
        for layer in self.hidden:
            states = F.relu(layer(states))
        logits: Tensor = self.classifier(states)
        return logits


class PooledStage(nn.Module):
    """Convolutions with batch norm and ReLU at one resolution, and the maximum after them."""

    def __init__(self, channels: int, widths: list[int], *, pooled: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(ConvNorm(nn.Conv2d(a, b, 3, padding=1)) for a, b in pairwise([channels, *widths]))
        self.pooled = pooled

    def forward(self, states: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, last width, H, W), or half of H and W, rounded down."""
        for conv in self.convs:
            states = conv(states)
        return F.max_pool2d(states, 2) if self.pooled else states


def last_size(layers: str, image_size: Sequence[int]) -> tuple[int, int]:
    """Height and width of the last feature maps; 0 for an image that is too small."""
    halvings = layers.count("M")
    return image_size[0] >> halvings, image_size[1] >> halvings


def _stages(convolutions: str) -> list[list[int]]:
    return [[int(width) for width in stage.split()] for stage in convolutions.split("M") if stage.strip()]
