"""Runtime `torch-eager-fp32`: the trained model as it is, run by torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.models.io import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TorchEager:
    """Loads trained models. The number of threads is torch's own setting, one for the whole process."""

    def load(self, folder: Path, *, threads: int) -> "TorchSession":
        """The trained model of a folder."""
        torch.set_num_threads(threads)
        return TorchSession(load_model(folder))


class TorchSession:
    """A torch model behind the interface of runtimes."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], np.ndarray]:
        """See `distilgrid.runtimes.base.Session`."""
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}

        def run() -> np.ndarray:
            with torch.inference_mode():
                logits: np.ndarray = self._model(**tensors).logits.numpy()
            return logits

        return run
