"""SGD and its stepwise schedule, as ResNets are trained (He et al. 2015), against a reference in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.resumable import make_rows, recorded_teacher
from torch import nn

from distilgrid.methods.annealing_kd.declare import AnnealingKD
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.loop import Trainer
from distilgrid.training.optimiser import Optimiser, learning_rate_factor, parameter_groups
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training
from distilgrid.training.weights import FlatParameters

pytestmark = pytest.mark.chain

SGD = Training(
    optimiser="sgd",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-2,
    schedule="steps",
    warmup_fraction=0,
    max_grad_norm=None,
)


@pytest.mark.parametrize(
    ("steps", "tenth", "hundredth"), [(400, 200, 300), (8, 4, 6), (7, 4, 6), (10, 5, 8), (2, 1, 2), (1, 1, 1)]
)
def test_rates_fall_after_half_and_three_quarters_of_the_steps(steps: int, tenth: int, hundredth: int) -> None:
    factor = learning_rate_factor(SGD, steps=steps)
    expected = [1.0 if step < tenth else 0.1 if step < hundredth else 0.01 for step in range(steps)]
    assert [factor(step) for step in range(steps)] == pytest.approx(expected)


def test_a_warm_up_moves_no_boundary() -> None:
    factor = learning_rate_factor(SGD.model_copy(update={"warmup_fraction": 0.25}), steps=8)
    assert [factor(step) for step in range(8)] == pytest.approx([1 / 3, 2 / 3, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_each_stage_has_the_whole_schedule(tiny_model: Path) -> None:
    """Stage I has 16 steps and stage II 8; a history says the rate of the step that follows."""
    outcome = Trainer(
        load_model(tiny_model, outputs=2, auto=CLASSIFIER),
        AnnealingKD(tau_max=2, stage1={"epochs": 2}, stage2={"epochs": 1}).phases(
            SGD.model_copy(update={"batch_size": 8, "learning_rate": 1e-3}),
            kind=LABEL,
        ),
        rows=make_rows(64, seed=0),
        dev=make_rows(8, seed=1),
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=0,
        teacher=recorded_teacher(),
    ).run()
    rates = outcome.history.series("train", "learning_rate")
    first, second = [1e-3] * 7 + [1e-4] * 4 + [1e-5] * 5, [1e-3] * 3 + [1e-4] * 2 + [1e-5] * 3
    assert rates == pytest.approx(first + second)


@pytest.mark.parametrize("decay_vectors", [False, True])
@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_momentum_and_weight_decay(decay_vectors: bool, max_norm: float | None) -> None:
    """v = momentum * v + g + decay * w, then w = w - rate * v; a norm is clipped before the decay is added."""
    chooser = np.random.default_rng(0)
    model = nn.Linear(3, 2)
    settings = SGD.model_copy(update={"decay_vectors": decay_vectors, "max_grad_norm": max_norm})
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in model.named_parameters()}
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    optimiser = Optimiser(
        FlatParameters(parameter_groups(model, layers=1, layered=False), compute=torch.float32), settings, steps=8
    )
    for step in range(8):
        grads = {name: chooser.normal(size=value.shape) for name, value in weights.items()}
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            parameter.grad.copy_(torch.from_numpy(grads[name]))
        optimiser.step()
        norm = np.sqrt(sum((grad**2).sum() for grad in grads.values()))
        share = 1.0 if max_norm is None else min(1.0, max_norm / norm)
        rate = 0.1 * (1.0 if step < 4 else 0.1 if step < 6 else 0.01)
        for name, weight in weights.items():
            decay = 1e-2 if name == "weight" or decay_vectors else 0.0
            velocity[name] = 0.9 * velocity[name] + share * grads[name] + decay * weight
            weights[name] = weight - rate * velocity[name]
    for name, parameter in model.named_parameters():
        assert np.allclose(parameter.detach().numpy(), weights[name], atol=1e-5), name
