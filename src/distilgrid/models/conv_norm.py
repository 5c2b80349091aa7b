"""Convolution, batch norm, shortcut and ReLU as one step of a network."""

from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    """relu(norm(conv(states)) + shortcut).

    Attributes:
        relu: whether there is a ReLU.
    """

    def __init__(self, conv: nn.Conv2d, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.relu = relu

    def forward(self, states: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, O, H', W'); the shortcut has the form of the result."""
        result: Tensor = self.norm(self.conv(states))
        if shortcut is not None:
            result = result + shortcut
        return F.relu(result) if self.relu else result
