"""AdamW as for BERT (Devlin et al. 2019), SGD as for ResNets (He et al. 2015), and learning-rate schedules."""

import re
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from distilgrid.training.settings import Training
from distilgrid.training.weights import FlatParameters, Group

MOMENTS = {"adamw": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}  # as torch names them
CLIP_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def parameter_groups(model: nn.Module, *, layers: int, layered: bool) -> list[Group]:
    """Group a model's trained parameters by optimiser settings; `layered` separates the layers."""
    members: dict[tuple[int, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = _steps_below_head(name, layers) if layered else 0
            members[below, parameter.dim() <= 1].append(parameter)
    ordered = sorted(members.items(), key=lambda item: item[0])
    return [Group(found, vectors=vectors, below=below) for (below, vectors), found in ordered]


def learning_rate_factor(settings: Training, *, steps: int) -> Callable[[int], float]:
    """Factor on the peak learning rate of each update, counted from 0."""
    warmup = round(settings.warmup_fraction * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if settings.schedule == "constant":
            return 1.0
        if settings.schedule == "steps":
            return 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return factor


class Optimiser:
    """Gradient clipping, optimiser and learning-rate schedule over flat parameters.

    With `layer_decay` d, a layer k steps below the head learns at d**k times the rate, the embeddings slowest (Howard
    and Ruder 2018; Sun et al. 2019).
    """

    def __init__(self, flat: FlatParameters, settings: Training, *, steps: int) -> None:
        self.flat, self.settings = flat, settings
        self.factor = learning_rate_factor(settings, steps=steps)
        self.parts = flat.slices()
        groups = [
            {"params": [part], "lr": settings.learning_rate * self.share(group), "weight_decay": self._decay(group)}
            for part, group in zip(self.parts, flat.groups, strict=True)
        ]
        self.inner = (
            torch.optim.AdamW(groups, fused=True)
            if settings.optimiser == "adamw"
            else torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, fused=True)
        )
        self.updates = 0

    def rate(self) -> float:
        """Learning rate of the next update, before a layer's factor."""
        return self.settings.learning_rate * self.factor(self.updates)

    def share(self, group: Group) -> float:
        """Factor of a group on the learning rate."""
        return self.settings.layer_decay**group.below

    def unseen_decay(self) -> float:
        """Factor that AdamW's next update leaves of embeddings that occur in no row."""
        return 1 - self.rate() * self.share(self.flat.groups[-1]) * self.settings.weight_decay

    def step(self) -> None:
        """Update the weights with the collected gradients, clipped to `max_grad_norm`."""
        for options, group in zip(self.inner.param_groups, self.flat.groups, strict=True):
            options["lr"] = self.rate() * self.share(group)
        if self.settings.max_grad_norm is not None:
            norm = torch.linalg.vector_norm(self.flat.grads)
            # The fused kernels divide gradients by this as they read them, which saves a pass over memory.
            self.inner.grad_scale = ((norm + CLIP_EPSILON) / self.settings.max_grad_norm).clamp(min=1.0)  # type: ignore[union-attr]
        self.inner.step()
        self.updates += 1
        self.flat.refresh()

    def state(self) -> dict[str, Tensor]:
        """Moments of each group without copying: `exp_avg.0`, `exp_avg_sq.0`, `exp_avg.1`, ..."""
        return {
            f"{name}.{number}": self.inner.state[part][name]
            for number, part in enumerate(self.parts)
            for name in self._moments()
        }

    def load_state(self, state: dict[str, Tensor], *, updates: int) -> None:
        """Continue after `updates` updates with the moments of `state`, without copying them."""
        for number, part in enumerate(self.parts):
            moments = {name: state[f"{name}.{number}"].to(part.device) for name in self._moments()}
            step = {"step": torch.tensor(float(updates), device=part.device)}
            self.inner.state[part] = {**(step if self.settings.optimiser == "adamw" else {}), **moments}
        self.updates = updates
        self.flat.refresh()

    def _moments(self) -> tuple[str, ...]:
        kept = self.settings.optimiser == "adamw" or self.settings.momentum > 0
        return MOMENTS[self.settings.optimiser] if kept else ()

    def _decay(self, group: Group) -> float:
        return self.settings.weight_decay if self.settings.decay_vectors or not group.vectors else 0.0


def _steps_below_head(name: str, layers: int) -> int:
    numbered = re.search(r"\.layers?\.(\d+)\.", name)
    if numbered:
        return layers - int(numbered[1])
    return layers + 1 if "embedding" in name else 0
