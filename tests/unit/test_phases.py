"""Runs of several phases: when patience counts, the epochs that were done, watched scores, changes of the optimiser."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.resumable import Runs, make_rows, newest, recorded_teacher, result

from distilgrid.methods.annealing_kd.declare import AnnealingKD
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.continuation_kd.declare import ContinuationKD
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.tasks.batching import Rows
from distilgrid.tasks.kind import score
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training import loop
from distilgrid.training.checkpoint import NOWHERE, Checkpoints
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement, Precision
from distilgrid.training.predictor import predict
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain

SETTINGS = Training(batch_size=8, learning_rate=1e-3, epochs=6)
ANNEALED = AnnealingKD(tau_max=3, stage1={"epochs": 6, "patience": 2}, stage2={"epochs": 2})
WORDS = "bert.embeddings.word_embeddings.weight"
UNUSED = [4, 5, 6, 9]
"""Words that no row holds."""


@pytest.fixture
def model(tiny_model: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    return load_model(tiny_model, outputs=2, auto=CLASSIFIER)


def trainer(
    model: torch.nn.Module,
    method: BaseMethod,
    settings: Training = SETTINGS,
    *,
    watched: Rows | None = None,
    precision: Precision = "fp32",
    checkpoints: Checkpoints = NOWHERE,
) -> Trainer:
    return Trainer(
        copy.deepcopy(model),  # type: ignore[arg-type]
        method.phases(settings, kind=LABEL),
        rows=make_rows(64, seed=0),
        dev=make_rows(32, seed=1),
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(precision=precision),
        seed=0,
        teacher=None if isinstance(method, Finetune) else recorded_teacher(),
        watched=watched,
        checkpoints=checkpoints,
    )


def scripted(monkeypatch: pytest.MonkeyPatch, scores: Iterable[float]) -> None:
    """Each evaluation has the next of some scores."""
    given = iter(scores)
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: {"accuracy": next(given)})


def test_patience_waits_until_the_annealing_is_over(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 0.6])  # T: 3, 3, 2, 2, 1, 1; then the labels
    outcome = trainer(model, ANNEALED).run()
    assert outcome.epochs == 8, "two evaluations at T = 1 end stage I as it would have ended"
    assert outcome.history.series("train", "temperature")[-1] == 1
    scripted(monkeypatch, [0.9, 0.1, 0.1, 0.1, 0.1, 0.5, 0.6])
    short = ANNEALED.model_copy(update={"stage1": {"epochs": 6, "patience": 1}})
    outcome = trainer(model, short).run()
    assert (outcome.stopped_early, outcome.epochs) == (True, 5 + 2), "the first evaluation at T = 1 counts"


@pytest.mark.parametrize(("psi", "epochs"), [("step", 5), ("linear", 6)])
def test_patience_in_continuation_waits_for_the_labels(
    model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, psi: Any, epochs: int
) -> None:
    scripted(monkeypatch, [0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
    method = ContinuationKD(tau_max=2, psi=psi, annealing=0.5)
    outcome = trainer(model, method, SETTINGS.model_copy(update={"patience": 2})).run()
    assert (outcome.epochs, outcome.stopped_early) == (epochs, psi == "step")


def test_epochs_are_those_that_were_done(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    method = AnnealingKD(tau_max=1, stage1={"epochs": 5, "patience": 1}, stage2={"epochs": 2})
    scripted(monkeypatch, [0.9, 0.1, 0.5, 0.6])
    outcome = trainer(model, method).run()
    assert (outcome.epochs, outcome.steps) == (4, 32)
    assert [record[1] for record in outcome.history.records if record[2] == "dev"] == [1, 2, 3, 4]


@pytest.mark.parametrize("stop", [15, 16, 41, 48])
def test_a_run_whose_first_phase_ended_early_goes_on_to_the_same_bits(
    model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stop: int
) -> None:
    """The first phase is given up after step 16 of 40; the second begins with step 41."""
    method, scores = AnnealingKD(tau_max=1, stage1={"epochs": 5, "patience": 1}, stage2={"epochs": 2}), [9, 1, 5, 6]
    watched, runs = make_rows(32, seed=2), Runs(model, tmp_path / "artefact")
    scripted(monkeypatch, [score for each in scores for score in (each, each)])  # on dev, then on the watched rows
    whole = trainer(model, method, watched=watched)
    expected = result(whole)
    assert whole.outcome.watched == 6, "of the second phase alone"
    scripted(monkeypatch, [score for each in scores for score in (each, each)])
    saving = runs.checkpoints(stop=lambda: newest(runs.folder) >= stop)
    stopped = trainer(model, method, watched=watched, checkpoints=saving)
    with pytest.raises(SystemExit):
        stopped.run()
    second = trainer(model, method, watched=watched, checkpoints=runs.checkpoints())
    assert result(second) == expected
    assert (second.outcome.resumed_at, second.outcome.epochs, second.outcome.watched) == (stop, 4, 6)


def test_the_watched_score_is_that_of_the_finished_model(model: torch.nn.Module) -> None:
    """The loop computes in bf16, whose logits are others; the finished model and its watched scores are in fp32."""
    watched = make_rows(400, seed=2)
    settings = SETTINGS.model_copy(update={"epochs": 1, "precision": "bf16"})
    seen: list[torch.Tensor] = []
    run = trainer(model, Finetune(), settings, watched=watched, precision="bf16")
    exact = loop.evaluate

    def looked_at(model: Any, encodings: Any, *given: Any, placement: Placement, **named: Any) -> dict[str, float]:
        seen.append(torch.from_numpy(predict(model, encodings, kind=LABEL, placement=placement)))
        return exact(model, encodings, *given, placement=placement, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "evaluate", looked_at)
        outcome = run.run()
    final = torch.from_numpy(predict(run.model, watched.encodings, kind=LABEL))
    assert torch.allclose(seen[1], final, atol=1e-5)
    half = Placement(precision="bf16")
    rounded = torch.from_numpy(predict(run.model, watched.encodings, kind=LABEL, placement=half))
    assert not torch.allclose(rounded, final, atol=1e-5)
    assert (
        outcome.watched == score(LABEL, ["accuracy"], labels=watched.labels.numpy(), outputs=final.numpy())["accuracy"]
    )


def test_watching_changes_no_weight(model: torch.nn.Module) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2, "precision": "bf16", "average_decay": 0.9})
    runs = [
        trainer(model, Finetune(), settings, watched=rows, precision="bf16") for rows in (None, make_rows(32, seed=2))
    ]
    plain, watching = map(result, runs)
    assert watching.weights == plain.weights
    assert watching.best == plain.best


@pytest.mark.parametrize("second", ["adamw", "sgd"])
def test_words_that_occur_in_no_row_follow_each_phases_optimiser(model: torch.nn.Module, second: str) -> None:
    """AdamW decays all words; SGD has the decay in the gradient, so that it gathers momentum."""
    stage = {"epochs": 1, "warmup_fraction": 0, "weight_decay": 0.5, "schedule": "constant", "max_grad_norm": None}
    method = AnnealingKD(tau_max=1, stage1=stage, stage2={**stage, "optimiser": second, "learning_rate": 0.01})
    before = model.state_dict()[WORDS][UNUSED].clone()
    run = trainer(model, method)
    run.run()
    factor, momentum = (1 - 1e-3 * 0.5) ** 8, 0.0
    for _ in range(8):
        momentum = (0.9 * momentum if second == "sgd" else 0.0) + 0.5 * factor
        factor -= 0.01 * momentum
    assert torch.allclose(run.model.state_dict()[WORDS][UNUSED], before * factor, rtol=1e-5)
