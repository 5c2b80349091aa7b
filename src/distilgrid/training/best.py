"""The best weights of a phase, by the score on `dev`."""

from typing import Any

import torch
from torch import Tensor

from distilgrid.tasks.kind import Metric
from distilgrid.training.engine import Engine


class Best:
    """Keeps copies of an engine's best weights and buffers.

    Attributes:
        metric: deciding metric.
        step, scores: step and scores of the best weights; 0 and empty at first.
        decay: factor that weight decay had left by then of embeddings that occur in no row.
    """

    def __init__(self, engine: Engine, metric: Metric) -> None:
        self.engine, self.metric = engine, metric
        self.weights: Tensor | None = None
        self.buffers: dict[str, Tensor] = {}
        self.decay = 1.0
        self.forget(patience=engine.settings.patience)

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
            self.weights = torch.empty_like(self.engine.flat.values)
        self.weights.copy_(self.engine.flat.values)
        self.buffers = {name: buffer.clone() for name, buffer in self.engine.buffers.items()}

    def restore(self) -> None:
        """Give the model the best weights."""
        assert self.weights is not None, "the last step of a phase is always scored"
        self.engine.flat.values.copy_(self.weights)
        self.engine.flat.refresh()
        for name, buffer in self.engine.buffers.items():
            buffer.copy_(self.buffers[name])

    def record(self, name: str) -> dict[str, Any]:
        """Facts about a phase for `metrics.json`."""
        return {"name": name, "best_step": self.step, "dev": self.scores}

    def tensors(self) -> dict[str, Tensor]:
        """Tensors for a saved state."""
        weights = {} if self.weights is None else {"best_weights": self.weights}
        return weights | {f"best_buffers.{name}": buffer for name, buffer in self.buffers.items()}

    def values(self) -> list[Any]:
        """Other values for a saved state."""
        return [self.step, self.scores, self.worse, self.decay]

    def load(self, tensors: dict[str, Tensor], values: list[Any]) -> None:
        """Restore a saved state."""
        self.weights = tensors.get("best_weights")
        self.buffers = {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith("best_buffers.")}
        self.step, self.scores, self.worse, self.decay = values
        self.patience = self.engine.settings.patience
