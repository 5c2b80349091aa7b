"""All trained weights in one tensor and all their gradients in another, and their best values.

The optimiser, the gradient norm, the low-precision copy, an all-reduce and a checkpoint are then one pass over memory
each, instead of one call per weight. The model's parameters become views, so its modules see no difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distilgrid.tasks.kind import Metric


@dataclass(frozen=True)
class Group:
    """Weights that share optimiser settings."""

    parameters: Sequence[nn.Parameter]  # weights in the order of their storage
    vectors: bool  # whether they are biases and norms
    below: int = 0  # number of layers between them and the head


@dataclass(frozen=True)
class FlatViews:
    """One weight, or neighbours in memory that act as one, such as query, key and value."""

    master: Tensor  # fp32 values
    compute: Tensor  # the values in the precision of matrix products
    grad: Tensor  # fp32 gradient


class FlatParameters:
    """Parameters in flat storage; `release` gives each a separate tensor again.

    Attributes:
        values: (P,) fp32.
        grads: (P,) fp32; every parameter's `.grad` is a view of it.
        compute: (P,) in the precision of matrix products; `values` itself for fp32.
        fresh: whether `grads` counts as zero. `zero_grad` sets it; the caller of `backward` clears it.
    """

    def __init__(self, groups: Sequence[Group], *, compute: torch.dtype) -> None:
        self.groups = groups
        parameters = [p for group in groups for p in group.parameters]
        self.values = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.grads = torch.zeros_like(self.values)
        self.compute = self.values if compute == torch.float32 else self.values.to(compute)
        self.fresh = True
        self._spans: dict[int, tuple[int, int]] = {}
        self._self_written: list[tuple[int, int]] = []
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            self._spans[id(parameter)] = (start, end)
            parameter.data = self.values[start:end].view(parameter.shape)
            parameter.grad = self.grads[start:end].view(parameter.shape)
            start = end

    def slices(self) -> list[nn.Parameter]:
        """One flat parameter per group, for an optimiser."""
        flat, start = [], 0
        for group in self.groups:
            end = start + sum(p.numel() for p in group.parameters)
            part = nn.Parameter(self.values[start:end])
            part.grad = self.grads[start:end]
            flat.append(part)
            start = end
        return flat

    def views(self, parameters: Sequence[nn.Parameter]) -> FlatViews:
        """Stack adjacent parameters along their first dimension.

        The caller writes their gradient, overwriting if `fresh` and adding otherwise; `zero_grad` skips it.
        """
        start, end = self._spans[id(parameters[0])][0], self._spans[id(parameters[-1])][1]
        shape = (sum(p.shape[0] for p in parameters), *parameters[0].shape[1:])
        self._self_written.append((start, end))
        return FlatViews(*(flat[start:end].view(shape) for flat in (self.values, self.compute, self.grads)))

    def zero_grad(self) -> None:
        """Reset the gradients."""
        start = 0
        for begin, end in sorted(self._self_written):
            self.grads[start:begin].zero_()
            start = end
        self.grads[start:].zero_()
        self.fresh = True

    def refresh(self) -> None:
        """Update `compute` after the values changed."""
        if self.compute is not self.values:
            self.compute.copy_(self.values)

    def release(self) -> None:
        """Give each parameter separate storage again, without a gradient."""
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None
                parameter.data = parameter.data.clone()


class Best:
    """Keeps copies of the best weights and buffers of a phase, by the score on `dev`.

    Attributes:
        flat, buffers: weights in training, and other saved tensors by name.
        metric: deciding metric.
        step, scores: step and scores of the best weights; 0 and empty at first.
        decay: factor that weight decay had left by then of embeddings that occur in no row.
    """

    def __init__(
        self, flat: FlatParameters, buffers: Mapping[str, Tensor], metric: Metric, *, patience: int | None
    ) -> None:
        self.flat, self.buffers, self.metric = flat, buffers, metric
        self.weights: Tensor | None = None
        self.kept: dict[str, Tensor] = {}  # copies of the buffers
        self.decay = 1.0
        self.forget(patience=patience)

    def forget(self, *, patience: int | None) -> None:
        """Start anew: the next weights are the best. The memory of the copies stays."""
        self.patience = patience
        self.step, self.scores, self.worse = 0, dict[str, float](), 0

    @property
    def given_up(self) -> bool:
        """Whether `patience` scores in a row were no better."""
        return self.patience is not None and self.worse >= self.patience

    def offer(
        self, step: int, scores: dict[str, float], *, decay: float, always: bool = False, patient: bool = True
    ) -> None:
        """Keep the current weights if they are better by the deciding metric, or `always`.

        The scores on `dev` are those after `step`. Only with `patient` does a score that is no better count towards
        `given_up`.
        """
        name = self.metric.name
        if self.scores and not always and not self.metric.better(scores[name], self.scores[name]):
            self.worse += patient
            return
        self.step, self.scores, self.worse, self.decay = step, scores, 0, decay
        if self.weights is None:
            self.weights = torch.empty_like(self.flat.values)
        self.weights.copy_(self.flat.values)
        self.kept = {name: buffer.clone() for name, buffer in self.buffers.items()}

    def restore(self) -> None:
        """Give the model the best weights."""
        assert self.weights is not None, "the last step of a phase is always scored"
        self.flat.values.copy_(self.weights)
        self.flat.refresh()
        for name, buffer in self.buffers.items():
            buffer.copy_(self.kept[name])

    def record(self, name: str) -> dict[str, Any]:
        """Facts about a phase for `metrics.json`."""
        return {"name": name, "best_step": self.step, "dev": self.scores}

    def tensors(self) -> dict[str, Tensor]:
        """Tensors for a saved state."""
        weights = {} if self.weights is None else {"best_weights": self.weights}
        return weights | {f"best_buffers.{name}": buffer for name, buffer in self.kept.items()}

    def values(self) -> list[Any]:
        """Other values for a saved state."""
        return [self.step, self.scores, self.worse, self.decay]

    def load(self, tensors: Mapping[str, Tensor], values: list[Any], *, patience: int | None) -> None:
        """Restore a saved state."""
        self.weights = tensors.get("best_weights")
        self.kept = {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith("best_buffers.")}
        self.step, self.scores, self.worse, self.decay = values
        self.patience = patience
