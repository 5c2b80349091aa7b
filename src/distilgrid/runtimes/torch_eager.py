"""Runtime `torch-eager-fp32`: the trained model as it is, run by torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.models.io import load_model
from distilgrid.runtimes.base import Execution, UnsupportedError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TorchEager:
    """Loads trained models. The number of threads is torch's own setting, one for the whole process."""

    def load(self, folder: Path, how: Execution) -> "TorchSession":
        """The trained model of a folder."""
        return TorchSession(placed(folder, how), how)


class TorchSession:
    """A torch model behind the interface of runtimes."""

    def __init__(self, model: "PreTrainedModel", how: Execution) -> None:
        self._model, self._how = model, how

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        processor = self._how.processor

        def run() -> np.ndarray:
            with torch.inference_mode():
                there = tensors if processor == "cpu" else {name: t.to(processor) for name, t in tensors.items()}
                logits: np.ndarray = self._model(**there).logits.float().cpu().numpy()
            return logits

        return run


def placed(folder: Path, how: Execution) -> "PreTrainedModel":
    """The trained model of a folder on its processor, in evaluation mode, torch's threads set.

    Raises:
        UnsupportedError: when there is no such processor.
    """
    if how.processor == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("no CUDA GPU here")
    torch.set_num_threads(how.threads)
    return load_model(folder).to(how.processor)
