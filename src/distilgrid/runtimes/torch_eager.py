"""Runtimes `torch-eager-fp32` and `torch-eager-bf16`: the trained model, run by torch operator by operator."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from distilgrid.models.io import load_model
from distilgrid.runtimes.base import RunOptions, UnsupportedError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_exact(folder: Path, how: RunOptions) -> "TorchSession":
    """The trained model of a folder. The number of threads is torch's setting for the whole process."""
    return TorchSession(placed(folder, how), how)


def load_bf16(folder: Path, how: RunOptions) -> "TorchSession":
    """The trained model of a folder with all weights rounded to bf16, which halves the bytes that a call reads.

    A CPU without bf16 arithmetic emulates it, slowly. Autocast keeps sums and layer norms in fp32 and halves the error,
    but rounds all weights again in each call. Both errors are too small to change labels: 0.02 and 0.01 for logits of
    standard deviation 3 (3-layer MiniLM on SST-2).
    """
    model = placed(folder, how).to(torch.bfloat16)
    # Some models normalise their inputs in fp32: autocast rounds them where the first weights are.
    return TorchSession(model, how, autocast=getattr(model, "normalises", False))


class TorchSession:
    """A torch model, which returns an object with `logits`, as a `Session`.

    With `autocast`, operators with bf16 weights round inputs in fp32 themselves.
    """

    def __init__(self, model: nn.Module, how: RunOptions, *, autocast: bool = False) -> None:
        self._model, self._processor = model, how.processor
        self._rounding = torch.autocast(how.processor, torch.bfloat16) if autocast else contextlib.nullcontext()

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        return lambda: self.logits(tensors)

    def logits(self, tensors: Mapping[str, Tensor]) -> np.ndarray:
        """Logits (B, ...) in fp32; inputs lie in the memory of the CPU."""
        with torch.inference_mode(), self._rounding:
            there = {name: tensor.to(self._processor) for name, tensor in tensors.items()}  # no copy on a CPU
            logits: np.ndarray = self._model(**there).logits.float().cpu().numpy()
        return logits


def placed(folder: Path, how: RunOptions) -> "PreTrainedModel":
    """Load a trained model onto its processor, in evaluation mode, and set torch's threads."""
    if how.processor == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("no CUDA GPU here")
    torch.set_num_threads(how.threads)
    return load_model(folder).to(how.processor)
