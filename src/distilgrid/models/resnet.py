"""CIFAR ResNets: He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2.

A 3x3 convolution to 16 channels, three groups of n basic blocks with 16, 32 and 64 channels, the second and the third
group at half the resolution of the one before, a global mean, a linear layer: 6n + 2 layers with weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilgrid.models.image_model import ImageConfig, ImageModel

WIDTHS = (16, 32, 64)


class ResNetConfig(ImageConfig):
    """What decides a CIFAR ResNet's shape.

    Attributes:
        blocks: basic blocks in each of the three groups.
        shortcut: where the shape changes, "A" subsamples and fills new channels with zeros; "B" projects by a 1x1
            convolution with batch norm.
    """

    model_type = "distilgrid-resnet"

    blocks: int = 1
    shortcut: str = "A"


class ResNet(ImageModel):
    """A CIFAR ResNet; the feature maps are those of the first convolution and of the three groups."""

    config_class = ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        self.conv = nn.Conv2d(config.num_channels, WIDTHS[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        self.groups = nn.ModuleList(
            _group(narrow, wide, config) for narrow, wide in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)
        )
        self.classifier = nn.Linear(WIDTHS[-1], config.num_labels)
        self.post_init()

    def feature_maps(self, pixels: Tensor) -> list[Tensor]:
        """(B, C, H, W) to maps of 16, 16, 32 and 64 channels."""
        maps = [F.relu(self.norm(self.conv(pixels)))]
        for group in self.groups:
            maps.append(group(maps[-1]))
        return maps

    def classified(self, features: Tensor) -> Tensor:
        """(B, 64, height, width) to logits."""
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class Block(nn.Module):
    """Two 3x3 convolutions, each with batch norm, and the shortcut around them."""

    def __init__(self, narrow: int, wide: int, *, shortcut: str) -> None:
        super().__init__()
        stride = wide // narrow
        self.conv1 = nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.shortcut = _shortcut(narrow, wide, shortcut) if stride > 1 else nn.Identity()

    def forward(self, states: Tensor) -> Tensor:
        """(B, narrow, H, W) to (B, wide, H / stride, W / stride)."""
        update = F.relu(self.norm1(self.conv1(states)))
        return F.relu(self.norm2(self.conv2(update)) + self.shortcut(states))


class Subsampling(nn.Module):
    """Shortcut A: every second row and column, and zeros for the new channels, half of them on either side."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, states: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C + added, H / 2, W / 2), rounded up."""
        return F.pad(states[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))


class Projection(nn.Module):
    """Shortcut B: a 1x1 convolution of stride 2 with batch norm."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(narrow, wide, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(wide)

    def forward(self, states: Tensor) -> Tensor:
        """(B, narrow, H, W) to (B, wide, H / 2, W / 2), rounded up."""
        projected: Tensor = self.norm(self.conv(states))
        return projected


def _shortcut(narrow: int, wide: int, option: str) -> nn.Module:
    return Projection(narrow, wide) if option == "B" else Subsampling(wide - narrow)


def _group(narrow: int, wide: int, config: ResNetConfig) -> nn.Sequential:
    widths = [narrow] + [wide] * config.blocks
    return nn.Sequential(*(Block(a, b, shortcut=config.shortcut) for a, b in zip(widths, widths[1:], strict=False)))
