"""Runtimes `torch-eager-fp32` and `torch-eager-bf16`: the trained model as it is, run by torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.models.image_model import ImageModel, normalised
from distilgrid.models.io import load_model
from distilgrid.runtimes.base import PIXELS, Execution, UnsupportedError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Logits = Callable[..., Tensor]
"""From a model's inputs by name to its logits (B, C)."""


class TorchEager:
    """Loads trained models. The number of threads is torch's own setting, one for the whole process."""

    def load(self, folder: Path, how: Execution) -> "TorchSession":
        """The trained model of a folder."""
        return TorchSession(logits_of(placed(folder, how)), how)


class TorchEagerBf16:
    """Loads trained models with all weights cast to bf16.

    Autocast, the other way, keeps weights in fp32 and casts them anew in every call, which costs more than it saves
    with few rows, and keeps the memory of fp32.
    """

    def load(self, folder: Path, how: Execution) -> "TorchSession":
        """The trained model of a folder, in bf16."""
        return TorchSession(logits_of(placed(folder, how).to(torch.bfloat16)), how)


class TorchSession:
    """A torch model behind the interface of runtimes."""

    def __init__(self, logits: Logits, how: Execution) -> None:
        self._logits, self._how = logits, how

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        processor = self._how.processor

        def run() -> np.ndarray:
            with torch.inference_mode():
                there = tensors if processor == "cpu" else {name: t.to(processor) for name, t in tensors.items()}
                logits: np.ndarray = self._logits(**there).float().cpu().numpy()
            return logits

        return run


def logits_of(model: "PreTrainedModel") -> Logits:
    """A model as a function from its inputs by name to its logits (B, C), in the precision of its weights."""

    def of_texts(**inputs: Tensor) -> Tensor:
        logits: Tensor = model(**inputs).logits
        return logits

    def of_images(**inputs: Tensor) -> Tensor:
        assert isinstance(model, ImageModel)
        pixels = normalised(inputs[PIXELS], model.config).to(model.dtype)
        return model.classified(model.feature_maps(pixels)[-1])

    return of_images if isinstance(model, ImageModel) else of_texts


def placed(folder: Path, how: Execution) -> "PreTrainedModel":
    """The trained model of a folder on its processor, in evaluation mode, torch's threads set.

    Raises:
        UnsupportedError: when there is no such processor.
    """
    if how.processor == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("no CUDA GPU here")
    torch.set_num_threads(how.threads)
    return load_model(folder).to(how.processor)
