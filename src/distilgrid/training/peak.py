"""Peak rate of matrix products on this machine, measured once and cached."""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.machine import describe_machine, package_versions
from distilgrid.training.placement import Placement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SIZE, ROUNDS = 2048, 5


def peak_flops(placement: Placement) -> float:
    """Floating-point operations per second of a 2048-cubed matrix product at the placement's precision and threads."""
    dtype = torch.bfloat16 if placement.precision == "bf16" else torch.float32
    device = placement.device
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else describe_machine()
    identity = {
        "machine": place,
        "precision": placement.precision,
        "threads": torch.get_num_threads(),
        "torch": package_versions()["torch"],
    }
    cache = _cache_folder() / f"peak-{recipe_key(identity)}.json"
    try:
        return float(json.loads(cache.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        measured = _measure(device, dtype)
    with contextlib.suppress(OSError):  # measured again next time
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(measured), encoding="utf-8")
    return measured


def training_flops(*, matrix_weights: int, layers: int, width: int, tokens: int, mean_length: float) -> float:
    """Operations of forward and backward pass (Kaplan et al. 2020): 6 per weight and token, plus attention's products,
    which grow with the length."""
    return tokens * (6.0 * matrix_weights + 12.0 * layers * width * mean_length)


@torch.no_grad()
def image_flops(model: "PreTrainedModel") -> int:
    """Operations of a forward pass over one image, counted while it runs."""
    from torch.utils.flop_counter import FlopCounterMode

    config = model.config
    height, width = (config.image_size, config.image_size) if isinstance(config.image_size, int) else config.image_size
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, config.num_channels, height, width, dtype=torch.uint8))
    return counter.get_total_flops()


def _measure(device: torch.device, dtype: torch.dtype) -> float:
    left = torch.randn(SIZE, SIZE, device=device).to(dtype)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        product = left @ left
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
        del product
    return 2.0 * SIZE**3 / best


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distilgrid"
