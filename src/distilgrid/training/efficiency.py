"""Use of the machine by a training run, for `metrics.json`."""

import resource
import sys
from typing import TYPE_CHECKING, Any

import torch

from distilgrid.training.peak import image_flops, peak_flops, training_flops
from distilgrid.training.placement import Placement

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.training.outcome import Outcome


def efficiency(model: "PreTrainedModel", outcome: "Outcome", placement: Placement, *, batch: int) -> dict[str, Any]:
    """Seconds, tokens per second, share of the machine's peak, time by section, peak memory.

    Tokens exclude padding; an image counts as one. The share of the peak counts the time of steps, without evaluation.
    """
    world = placement.world.size
    steps = sum(outcome.time_split.get(name, 0.0) for name in ("data", "forward", "backward", "optimiser"))
    tokens, images = outcome.tokens * world, hasattr(model.config, "image_size")
    if images:
        flops = 3.0 * image_flops(model) * outcome.tokens  # the backward pass is two forward passes' work
    else:
        flops = training_flops(
            matrix_weights=_matrix_weights(model),
            layers=model.config.num_hidden_layers,
            width=model.config.hidden_size,
            tokens=outcome.tokens,
            mean_length=tokens / max(1, outcome.steps * batch),
        )
    return {
        "precision": placement.precision,
        "device": placement.device.type,
        "processes": world,
        "train_seconds": round(outcome.seconds, 2),
        "tokens_per_second": round(tokens / max(outcome.seconds, 1e-9), 1),
        "peak_fraction": round(flops / max(steps, 1e-9) / peak_flops(placement), 4) if not outcome.resumed_at else None,
        "time_split": {name: round(seconds, 2) for name, seconds in sorted(outcome.time_split.items())},
        "resumed_at": outcome.resumed_at,
        "peak_memory_mib": round(_peak_memory(placement) / 2**20, 1),
    }


def _matrix_weights(model: "PreTrainedModel") -> int:
    """Number of weights in matrix products of every token: all matrices but the embedding tables."""
    return sum(p.numel() for name, p in model.named_parameters() if p.dim() > 1 and "embeddings" not in name)


def _peak_memory(placement: Placement) -> int:
    """Bytes on the GPU, or resident in this process."""
    if placement.device.type == "cuda":
        return torch.cuda.max_memory_allocated(placement.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
