"""Placement of a training run: device, precision, and the processes that share each batch."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.machine import accelerates_bf16
from distilgrid.training.settings import Execution

Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True)
class World:
    """The processes that train one model together; rank 0 of 1 for a single one."""

    rank: int = 0
    size: int = 1

    def share(self, batch: Sequence[int]) -> Sequence[int]:
        """This process's rows of a batch."""
        return batch[self.rank :: self.size]

    def sum(self, tensor: Tensor) -> None:
        """Sum a tensor over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def sum_values(self, values: dict[str, float]) -> dict[str, float]:
        """Sum named numbers over all processes; a process without rows has none."""
        if self.size == 1:
            return values
        gathered: list[dict[str, float]] = [{} for _ in range(self.size)]
        dist.all_gather_object(gathered, values)
        names = [name for part in gathered for name in part]
        return {name: sum(part.get(name, 0.0) for part in gathered) for name in dict.fromkeys(names)}


ALONE = World()


@dataclass(frozen=True)
class Placement:
    """Device, precision of the forward and backward pass, and the processes."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    world: World = ALONE

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Context of the forward pass: weights, losses and softmax stay in fp32."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()


def choose_precision(setting: str, device: torch.device) -> Precision:
    """Resolve the precision setting; `auto` takes bf16 where the device multiplies it in hardware."""
    if setting == "tf32":
        return "tf32" if device.type == "cuda" else "fp32"
    if setting == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else accelerates_bf16()
        return "bf16" if fast else "fp32"
    return "bf16" if setting == "bf16" else "fp32"


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


def placement_of(execution: Execution, *, precision: str = "fp32", world: World = ALONE) -> Placement:
    """Resolve the device that a job's settings ask for, and its precision, and set torch's switches for them."""
    device = choose_device(execution.device)
    placement = Placement(device, choose_precision(precision, device), world)
    prepare_device(placement, deterministic=execution.deterministic)
    return placement


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
