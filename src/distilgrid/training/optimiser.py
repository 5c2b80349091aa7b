"""AdamW with linear warm-up and decay, as BERT fine-tuning is done (Devlin et al. 2019)."""

import re
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from distilgrid.training.flat import FlatParameters, Group
from distilgrid.training.settings import Training

MOMENTS = ("exp_avg", "exp_avg_sq")  # as torch names them
CLIP_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def parameter_groups(model: nn.Module, settings: Training, *, layers: int) -> list[Group]:
    """A model's trained parameters by what the optimiser does with them.

    Vectors (biases, layer norms) are exempt from weight decay. With `layer_decay` d, a layer k steps below the head
    learns at d**k times the rate, the embeddings slowest (Howard and Ruder 2018; Sun et al. 2019).
    """
    members: dict[tuple[int, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = _steps_below_head(name, layers) if settings.layer_decay < 1 else 0
            members[below, parameter.dim() <= 1].append(parameter)
    return [
        Group(found, weight_decay=0.0 if vectors else settings.weight_decay, rate=settings.layer_decay**below)
        for (below, vectors), found in sorted(members.items(), key=lambda item: item[0])
    ]


def learning_rate_factor(settings: Training, *, steps: int) -> Callable[[int], float]:
    """The factor on the peak learning rate of each update, counted from 0."""
    warmup = round(settings.warmup_fraction * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return factor


class Optimiser:
    """Clipping, AdamW and the learning-rate schedule over flat parameters."""

    def __init__(self, flat: FlatParameters, settings: Training, *, steps: int) -> None:
        self.flat, self.settings = flat, settings
        self.factor = learning_rate_factor(settings, steps=steps)
        self.parts = flat.slices()
        groups = [
            {"params": [part], "lr": settings.learning_rate * group.rate, "weight_decay": group.weight_decay}
            for part, group in zip(self.parts, flat.groups, strict=True)
        ]
        self.adamw = torch.optim.AdamW(groups, fused=True)
        self.updates = 0

    def rate(self) -> float:
        """The learning rate of the next update, without a layer's own factor."""
        return self.settings.learning_rate * self.factor(self.updates)

    def step(self) -> None:
        """Update the weights with the collected gradients, scaled down to `max_grad_norm`."""
        for options, group in zip(self.adamw.param_groups, self.flat.groups, strict=True):
            options["lr"] = self.rate() * group.rate
        norm = torch.linalg.vector_norm(self.flat.grads)
        # The fused kernel divides gradients by this as it reads them, which saves a pass over memory.
        self.adamw.grad_scale = ((norm + CLIP_EPSILON) / self.settings.max_grad_norm).clamp(min=1.0)  # type: ignore[attr-defined]
        self.adamw.step()
        self.updates += 1
        self.flat.refresh()

    def state(self) -> dict[str, Tensor]:
        """AdamW's moments of each group: `exp_avg.0`, `exp_avg_sq.0`, `exp_avg.1`, ...; nothing is copied."""
        return {
            f"{name}.{number}": self.adamw.state[part][name]
            for number, part in enumerate(self.parts)
            for name in MOMENTS
        }

    def load_state(self, state: dict[str, Tensor], *, updates: int) -> None:
        """Continue after `updates` updates with the moments of `state`, which become the optimiser's own."""
        for number, part in enumerate(self.parts):
            step = torch.tensor(float(updates), device=part.device)
            moments = {name: state[f"{name}.{number}"].to(part.device) for name in MOMENTS}
            self.adamw.state[part] = {"step": step, **moments}
        self.updates = updates
        self.flat.refresh()


def _steps_below_head(name: str, layers: int) -> int:
    numbered = re.search(r"\.layers?\.(\d+)\.", name)
    if numbered:
        return layers - int(numbered[1])
    return layers + 1 if "embedding" in name else 0
