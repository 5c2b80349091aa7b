"""Hooks around updates of the weights, and predictors other than the forward pass."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.resumable import make_rows, newest, result
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.checkpoint import NOWHERE, Checkpoints, Interrupted
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement, Precision
from distilgrid.training.predictor import Predictor, predict
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain

PRUNED = "encoder.layer.1.output.dense.weight"
STEPS = 16


class Pruning:
    """Removes a further column of a matrix with every update, and sums its gradients."""

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        self.weight = parameters[f"bert.{PRUNED}"]
        self.kept = torch.ones(self.weight.shape[1])
        self.seen: list[tuple[str, int]] = []
        self.sum = torch.zeros(1)

    def before(self, step: int) -> None:
        self.seen.append(("before", step))
        assert self.weight.grad is not None
        self.sum += self.weight.grad.abs().sum()

    def after(self, step: int) -> None:
        self.seen.append(("after", step))
        self.kept[step - 1] = 0
        with torch.no_grad():
            self.weight.mul_(self.kept)

    def tensors(self) -> dict[str, Tensor]:
        return {"kept": self.kept, "sum": self.sum}

    def load(self, tensors: dict[str, Tensor]) -> None:
        self.kept, self.sum = tensors["kept"], tensors["sum"]


@pytest.fixture
def model(tiny_model: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    return load_model(tiny_model, outputs=2, auto=CLASSIFIER)


def trainer(
    model: torch.nn.Module,
    made: list[Pruning],
    *,
    checkpoints: Checkpoints = NOWHERE,
    precision: Precision = "fp32",
    predictor: Predictor = predict,
) -> Trainer:
    """A run of two phases; the second one has the hook."""

    def hooks(parameters: Mapping[str, torch.nn.Parameter]) -> list[Pruning]:
        made.append(Pruning(parameters))
        return made[-1:]

    phase = Finetune().phases(Training(epochs=1, batch_size=8, learning_rate=1e-3), kind=LABEL)[0]
    phase = replace(phase, selects=False)  # keeps the last weights
    return Trainer(
        copy.deepcopy(model),  # type: ignore[arg-type]
        [phase, replace(phase, name="pruned", hooks=hooks)],
        rows=make_rows(64, seed=0),
        dev=make_rows(32, seed=1),
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(precision=precision),
        seed=0,
        teacher=None,
        checkpoints=checkpoints,
        predictor=predictor,
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_hook_works_before_and_after_each_update_of_its_phase(model: torch.nn.Module, precision: Precision) -> None:
    made: list[Pruning] = []
    run = trainer(model, made, precision=precision)
    run.run()
    (hook,) = made
    assert hook.seen == [(when, step) for step in range(9, STEPS + 1) for when in ("before", "after")]
    assert hook.sum > 0
    zeros = (run.model.base_model.get_parameter(PRUNED) == 0).all(dim=0)
    assert zeros.nonzero().flatten().tolist() == list(range(8, 16))


def test_a_stopped_run_goes_on_with_the_hooks_state(model: torch.nn.Module, tmp_path: Path) -> None:
    whole: list[Pruning] = []
    expected = result(trainer(model, whole))
    stop = Checkpoints(tmp_path, key="mine", seconds=0, stop=lambda: newest(tmp_path) >= 12)
    with pytest.raises(Interrupted):
        trainer(model, [], checkpoints=stop).run()
    rest: list[Pruning] = []
    again = trainer(model, rest, checkpoints=Checkpoints(tmp_path, key="mine", seconds=3600, stop=bool))
    assert result(again) == expected
    assert again.outcome.resumed_at == 12
    assert torch.equal(rest[-1].sum, whole[-1].sum)


def test_scores_are_those_of_the_predictor(model: torch.nn.Module) -> None:
    def always_one(model: Any, encodings: Any, **_: Any) -> np.ndarray:
        return np.tile(np.array([0.0, 1.0], dtype=np.float32), (len(encodings), 1))

    outcome = trainer(model, [], predictor=always_one).run()
    assert set(outcome.history.series("dev", "accuracy")) == {float(make_rows(32, seed=1).labels.float().mean())}


def test_a_model_without_a_head_is_refused_by_those_that_need_one(tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json names no model with a head under `architectures`"):
        load_model(tiny_model)
