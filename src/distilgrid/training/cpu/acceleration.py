"""Acceleration of training on CPUs: fused encoder layers, and dropout masks drawn in bulk."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from distilgrid.training.cpu.fused_encoder import fuse, fusible, unfuse
from distilgrid.training.cpu.randomness import DropoutMasks, restore_dropout, swap_dropout
from distilgrid.training.engine import Acceleration
from distilgrid.training.weights import FlatParameters

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class CpuAcceleration(Acceleration):
    """Fuses BERT-like encoders and swaps the dropout of every model.

    `precision` is that of the forward pass, `seed` the one of dropout.
    """

    def __init__(self, model: "PreTrainedModel", *, precision: str, seed: int) -> None:
        self.model, self.masks = model, DropoutMasks(seed)
        self.fused = fusible(model)
        self.compute = torch.bfloat16 if self.fused and precision == "bf16" else torch.float32
        self.original: nn.Module | None = None
        self.dropouts: dict[str, nn.Dropout] = {}

    def attach(self, flat: FlatParameters) -> None:
        """Swap dropout and encoder."""
        self.dropouts = swap_dropout(self.model, self.masks)
        self.original = fuse(self.model, flat, self.masks) if self.fused else None

    def start_step(self, number: int) -> None:
        """Start the random numbers of a step."""
        self.masks.start_step(number)

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Put the original encoder back within the body."""
        fused = None if self.original is None else unfuse(self.model, self.original)
        try:
            yield
        finally:
            if fused is not None:
                unfuse(self.model, fused)

    def release(self) -> None:
        """Put the original encoder and dropout back."""
        if self.original is not None:
            unfuse(self.model, self.original)
        restore_dropout(self.model, self.dropouts)
