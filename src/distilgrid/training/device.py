"""The device of a training job."""

import contextlib
import os
from collections.abc import Iterator

import torch

from distilgrid.core.errors import UserError
from distilgrid.training.placement import Placement


def choose_device(setting: str) -> torch.device:
    """Resolve the device setting; `auto` takes a GPU if there is one. Raises UserError without a requested GPU."""
    if setting == "cuda" and not torch.cuda.is_available():
        raise UserError("resources.device is cuda, but torch sees no GPU; set it to auto, or see `distilgrid doctor`")
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
    """Compute fp32 products and convolutions with all bits within the body. CPUs always do."""
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
