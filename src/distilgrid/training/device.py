"""The device that a training job computes on."""

import os

import torch

from distilgrid.errors import UserError
from distilgrid.training.placement import Placement


def choose_device(setting: str) -> torch.device:
    """The device behind a setting; `auto` takes a GPU where there is one.

    Raises:
        UserError: when a GPU is asked for and there is none.
    """
    if setting == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "resources.device is cuda, but torch sees no GPU here; set it to auto, or see `distilgrid doctor`"
        )
    return torch.device("cuda" if setting != "cpu" and torch.cuda.is_available() else "cpu")


def prepare_device(placement: Placement, *, deterministic: bool) -> None:
    """Set torch's switches for a placement. The CPU always computes deterministically."""
    if placement.device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; deterministic sums need it
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cuda.matmul.fp32_precision = "tf32" if placement.precision == "tf32" else "ieee"
