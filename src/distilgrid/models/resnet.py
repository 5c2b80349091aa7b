"""CIFAR ResNets: He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2.

A 3x3 convolution to 16 channels precedes three groups of n basic blocks with 16, 32 and 64 channels. The second and
third group halve the resolution. A global mean and a linear layer follow: 6n + 2 layers with weights.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from distilgrid.models.image_model import ConvNorm, ImageConfig, ImageModel

WIDTHS = (16, 32, 64)


class ResNetConfig(ImageConfig):
    """Configuration of a CIFAR ResNet."""

    model_type = "distilgrid-resnet"

    blocks: int = 1  # basic blocks in each of the three groups
    # "A" subsamples and pads new channels with zeros; "B" projects by a 1x1 convolution with batch norm
    shortcut: str = "A"


class ResNet(ImageModel):
    """A CIFAR ResNet; its feature maps are those of the first convolution and of the three groups."""

    config_class = ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        self.stem = ConvNorm(nn.Conv2d(config.num_channels, WIDTHS[0], 3, padding=1, bias=False))
        self.groups = nn.ModuleList(_group(narrow, wide, config) for narrow, wide in pairwise((WIDTHS[0], *WIDTHS)))
        self.classifier = nn.Linear(WIDTHS[-1], config.num_labels)
        self.post_init()

    def feature_maps(self, pixels: Tensor) -> list[Tensor]:
        """(B, C, H, W) to maps of 16, 16, 32 and 64 channels."""
        maps = [self.stem(pixels)]
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
        self.first = ConvNorm(nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False))
        self.second = ConvNorm(nn.Conv2d(wide, wide, 3, padding=1, bias=False))
        self.shortcut = _shortcut(narrow, wide, shortcut) if stride > 1 else nn.Identity()

    def forward(self, states: Tensor) -> Tensor:
        """(B, narrow, H, W) to (B, wide, H / stride, W / stride), rounded up."""
        result: Tensor = self.second(self.first(states), self.shortcut(states))
        return result


class Subsampling(nn.Module):
    """Shortcut A: every second row and column, and zeros for the new channels, half of them on either side."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.before = added // 2
        self.after = added - self.before

    def forward(self, states: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C + added, H / 2, W / 2), rounded up."""
        return F.pad(states[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


def _shortcut(narrow: int, wide: int, option: str) -> nn.Module:
    """Shortcut B is a 1x1 convolution of stride 2 with batch norm."""
    if option == "A":
        return Subsampling(wide - narrow)
    return ConvNorm(nn.Conv2d(narrow, wide, 1, stride=2, bias=False), relu=False)


def _group(narrow: int, wide: int, config: ResNetConfig) -> nn.Sequential:
    widths = [narrow] + [wide] * config.blocks
    return nn.Sequential(*(Block(a, b, shortcut=config.shortcut) for a, b in pairwise(widths)))
