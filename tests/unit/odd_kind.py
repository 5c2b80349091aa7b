"""A task kind of another package, for tests: a number and how sure of it a model is, from two outputs."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from torch import Tensor
from transformers import PretrainedConfig

from distilgrid.core.loading import load
from distilgrid.tasks.kind import Form, Losses, Metric, Nouns, TaskKind
from distilgrid.tasks.kinds.label.declare import TEXT_SOURCES
from distilgrid.tasks.kinds.number.declare import KIND as NUMBER
from distilgrid.tasks.kinds.number.tensors import NumberOutputs

HERE = "tests.unit.odd_kind"


def deviations(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.stack([np.abs(labels - predicted), np.ones(len(labels))], axis=1)


def mean_deviation(sums: np.ndarray) -> np.ndarray:
    mean: np.ndarray = sums[..., 0] / sums[..., 1]
    return mean


MAE = Metric("mae", higher_is_better=False, scale=1, per_row=deviations, combine=mean_deviation)


class OddKind(TaskKind):
    def outputs(self, labels: Sequence[str]) -> int:
        return 2

    def named(self, label: float, labels: Sequence[str]) -> float:
        return float(label)


class OddLosses(Losses):
    """The likelihood of numbers under a normal distribution."""

    def hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        mean, log_variance = logits.unbind(dim=1)
        return (log_variance + (labels - mean).square() / log_variance.exp()).mean()

    def soft(self, student: Tensor, teacher: Tensor, *, form: Form = "kl", temperature: float = 1.0) -> Tensor:
        return (student - teacher).square().mean()

    def mixable(self, labels: Tensor, *, outputs: int) -> Tensor:
        return labels


class OddPredictions(NumberOutputs):
    """The first output."""

    def describe(self, config: PretrainedConfig, labels: Sequence[str]) -> None:
        config.id2label, config.label2id = {0: "value", 1: "log_variance"}, {"value": 0, "log_variance": 1}

    def allocate(self, rows: int, config: PretrainedConfig) -> np.ndarray:
        return np.empty((rows, 2), dtype=np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0]

    def answers(self, outputs: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
        spread = np.exp(outputs[:, 1].astype(np.float64) / 2)
        return pd.DataFrame({"value": outputs[:, 0].astype(np.float64), "spread": spread})


LOSSES, PREDICTIONS = OddLosses(), OddPredictions()
KIND = OddKind(
    name="odd",
    modality="text",
    metrics={"mae": MAE},
    tempered=False,
    words=Nouns(row="text", rows="texts"),
    sources=TEXT_SOURCES,
    fields=frozenset({"text", "options"}),
    rows=NUMBER.rows,
    batch=NUMBER.batch,
    losses=partial(load, f"{HERE}:LOSSES"),
    predict=partial(load, f"{HERE}:PREDICTIONS"),
)
