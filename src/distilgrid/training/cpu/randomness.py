"""Random numbers of a training step, derived from seed and step alone: a resumed run needs no generator state."""

import numpy as np
import torch
from torch import Tensor, nn

from distilgrid.core.fingerprint import derive_seed
from distilgrid.training.cpu.workspace import Workspace

RESOLUTION = 1 << 16
ONE = {torch.bfloat16: 0x3F80, torch.float16: 0x3C00}  # the bits of 1.0


class DropoutMasks:
    """Dropout masks drawn in bulk, 16 random bits per element, in place of torch's call per element.

    The rate is rounded to a multiple of 2**-16, and `scale` matches the rounded rate, so expectations are exact.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.start_step(0)

    def start_step(self, step: int) -> None:
        """Start the stream of a step."""
        self.stream = np.random.Generator(np.random.SFC64(derive_seed(self.seed, f"step {step}")))

    def keep(
        self, shape: tuple[int, ...], *, rate: float, dtype: torch.dtype, space: Workspace | None = None
    ) -> Tensor:
        """Mask with 0 for a dropped element (probability `rate`) and 1 for others, in memory of `space`."""
        count = int(np.prod(shape))
        words = self.stream.integers(0, 2**64 - 1, size=-(-count // 4), dtype=np.uint64, endpoint=True)
        bits = torch.from_numpy(words.view(np.int16))[:count]
        fits = space is not None and dtype in ONE
        kept = space.take(count, dtype=torch.int16) if space is not None and fits else torch.empty_like(bits)
        torch.ge(bits, _threshold(rate) - RESOLUTION // 2, out=kept)
        if dtype in ONE:
            return kept.mul_(ONE[dtype]).view(dtype).view(shape)
        return kept.to(dtype).view(shape)

    @staticmethod
    def scale(rate: float) -> float:
        """Factor for kept elements."""
        return RESOLUTION / (RESOLUTION - _threshold(rate))


class MaskedDropout(nn.Module):
    """Dropout with masks from a shared `DropoutMasks`, distributed as `nn.Dropout`."""

    def __init__(self, rate: float, masks: DropoutMasks) -> None:
        super().__init__()
        self.p, self.masks = rate, masks

    def forward(self, states: Tensor) -> Tensor:
        """Zero a share of the elements and scale the others up, in training."""
        if not self.training or self.p == 0:
            return states
        return states * self.masks.keep(tuple(states.shape), rate=self.p, dtype=states.dtype) * self.masks.scale(self.p)


def swap_dropout(model: nn.Module, masks: DropoutMasks) -> dict[str, nn.Dropout]:
    """Replace every `nn.Dropout` and return the originals by name, for `restore_dropout`."""
    found = {name: module for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    for name, module in found.items():
        model.set_submodule(name, MaskedDropout(module.p, masks).train(module.training))
    return found


def restore_dropout(model: nn.Module, originals: dict[str, nn.Dropout]) -> None:
    """Undo `swap_dropout`."""
    for name, module in originals.items():
        model.set_submodule(name, module.train(model.training))


def _threshold(rate: float) -> int:
    return round(rate * RESOLUTION)
