"""The device that a training job computes on."""

import contextlib
import os
from collections.abc import Iterator

import torch

from distilgrid.core.errors import UserError
from distilgrid.training.placement import Placement


def choose_device(setting: str) -> torch.device:
    """The device behind a setting; `auto` takes a GPU where there is one. Raises UserError when a GPU is asked for and
    there is none."""
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


@contextlib.contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Within the body, products and convolutions on a GPU keep all bits of fp32. The CPU always does."""
    own = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    switches = own if device.type == "cuda" else ()
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "ieee"
        yield
    finally:
        for switch, setting in zip(switches, before, strict=True):
            switch.fp32_precision = setting
