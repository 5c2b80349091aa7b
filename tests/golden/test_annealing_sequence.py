"""Annealing-KD and Continuation-KD in the training loop against loops of their own.

Stages, the best checkpoint between them and new optimisers; labels that take over, with a margin.
"""

import copy
from pathlib import Path

import pytest
import torch
from tests.golden.test_loss_sequences import GOLDEN, log_softmax, reference_step, rows, student
from torch import Tensor

from distilgrid.core.fingerprint import derive_seed
from distilgrid.methods.annealing_kd.declare import AnnealingKD
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.continuation_kd.declare import ContinuationKD
from distilgrid.methods.registry import method_classes
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.tasks.batching import Rows, epoch_batches
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.loop import Trainer
from distilgrid.training.outcome import Outcome
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training
from distilgrid.training.teacher import StoredTeacher

pytestmark = pytest.mark.chain

__all__ = ["rows", "student"]

RATE, BATCH, MARGIN = 1e-2, 8, 1e-3
SETTINGS = Training(batch_size=BATCH, warmup_fraction=0, weight_decay=0.1, max_grad_norm=0.5, precision="fp32")
METHOD = AnnealingKD(
    tau_max=2, stage1={"epochs": 4, "learning_rate": RATE}, stage2={"epochs": 2, "learning_rate": RATE / 2}
)


class Reference:
    """Both stages by hand; `losses` of all steps, `kept` the best step of each stage."""

    def __init__(self, model: torch.nn.Module, rows: Rows, teacher: Tensor, dev: Rows) -> None:
        self.model, self.rows, self.teacher, self.dev = model, rows, teacher, dev
        self.losses: list[float] = []
        self.kept: list[int] = []
        self.stage(first=0, epochs=4, rate=RATE)
        self.stage(first=4, epochs=2, rate=RATE / 2)

    def stage(self, *, first: int, epochs: int, rate: float) -> None:
        weights = list(self.model.parameters())
        moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
        step, total = 0, epochs * 6
        best, kept = -1.0, copy.deepcopy(self.model.state_dict())
        for epoch in range(first, first + epochs):
            shuffling = torch.Generator().manual_seed(derive_seed(7, f"shuffle epoch {epoch}"))
            for batch in epoch_batches(self.rows.encodings.lengths, batch_size=BATCH, generator=shuffling):
                logits = self.model(**self.rows.encodings.batch(batch)).logits
                if first == 0:
                    phi = 0.5 if epoch < 2 else 1.0
                    loss = ((logits - phi * self.teacher[batch]) ** 2).mean()
                else:
                    loss = -log_softmax(logits)[torch.arange(len(batch)), self.rows.labels[batch]].mean()
                loss.backward()
                reference_step(weights, moments, rate * (total - step) / total, step + 1)
                step += 1
                self.losses.append(float(loss.detach()))
            if (accuracy := self.accuracy()) > best:
                best, kept = accuracy, copy.deepcopy(self.model.state_dict())
                at = len(self.losses)
        self.model.load_state_dict(kept)
        self.kept.append(at)

    def accuracy(self) -> float:
        with torch.no_grad():
            logits = torch.cat(
                [self.model(**self.dev.encodings.batch([i])).logits for i in range(len(self.dev.labels))]
            )
        return float((logits.argmax(dim=1) == self.dev.labels).float().mean())


def teacher_logits(tiny_model: Path, rows: Rows) -> Tensor:
    torch.manual_seed(1)
    model = load_model(tiny_model, outputs=2, auto=CLASSIFIER)
    with torch.no_grad():
        return torch.cat([5 * model(**rows.encodings.batch([i])).logits for i in range(len(rows.labels))])


def continued_losses(model: torch.nn.Module, rows: Rows, teacher: Tensor) -> list[float]:
    """Four epochs of six steps: T is 2, then 1; psi grows with every step."""
    weights, losses = list(model.parameters()), []
    moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    for epoch in range(4):
        shuffling = torch.Generator().manual_seed(derive_seed(7, f"shuffle epoch {epoch}"))
        for batch in epoch_batches(rows.encodings.lengths, batch_size=BATCH, generator=shuffling):
            step = len(losses)
            phi, psi = (0.5 if epoch < 2 else 1.0), step / 24
            logits = model(**rows.encodings.batch(batch)).logits
            hard = -log_softmax(logits)[torch.arange(len(batch)), rows.labels[batch]].mean()
            distances = ((logits - phi * teacher[batch]) ** 2).sum(dim=1) / 2
            over = torch.where(distances > MARGIN * phi, distances - MARGIN * phi, 0.0)
            loss = psi * hard + (1 - psi) * over.mean()
            loss.backward()
            reference_step(weights, moments, RATE * (24 - step) / 24, step + 1)
            losses.append(float(loss.detach()))
    return losses


def trained(
    student: torch.nn.Module, method: BaseMethod, settings: Training, *, rows: Rows, dev: Rows, teacher: Tensor
) -> Outcome:
    """The run whose losses are compared."""
    return Trainer(
        student,  # type: ignore[arg-type]
        method.phases(settings, kind=LABEL),
        rows=rows,
        dev=dev,
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=7,
        teacher=StoredTeacher(teacher),
    ).run()


def unbumped(objective: str, losses: list[float]) -> None:
    """The stored losses of a method's version are still those."""
    version = f"{objective} v{method_classes()[objective].version}"
    golden = pytest.approx(GOLDEN.get(version, []), rel=1e-2, abs=1e-6)
    assert losses == golden, f"{version}: results changed without a bump"


def test_continuation(student: torch.nn.Module, rows: Rows, tiny_model: Path) -> None:
    teacher = teacher_logits(tiny_model, rows)
    expected = continued_losses(copy.deepcopy(student).train(), rows, teacher)
    settings = SETTINGS.model_copy(update={"epochs": 4, "learning_rate": RATE})
    outcome = trained(student, ContinuationKD(tau_max=2, margin=MARGIN), settings, rows=rows, dev=rows, teacher=teacher)
    losses = outcome.history.series("train", "loss")
    assert losses == pytest.approx(expected, rel=1e-3, abs=1e-6)
    unbumped("continuation_kd", losses)


def test_both_stages(student: torch.nn.Module, rows: Rows, tiny_model: Path) -> None:
    teacher = teacher_logits(tiny_model, rows)
    dev = Rows(rows.encodings.take(range(20)), rows.labels[:20])
    expected = Reference(copy.deepcopy(student).train(), rows, teacher, dev)
    assert expected.kept[0] < 24, "stage I's best checkpoint is not its last one, so that taking the last would show"

    outcome = trained(student, METHOD, SETTINGS, rows=rows, dev=dev, teacher=teacher)
    losses = outcome.history.series("train", "loss")
    assert losses == pytest.approx(expected.losses, rel=1e-3)
    assert [phase["best_step"] for phase in outcome.phases] == expected.kept
    assert (outcome.best_step, outcome.steps, outcome.epochs) == (expected.kept[1], 36, 6)
    assert outcome.history.series("train", "temperature") == [2] * 12 + [1] * 12, "and none in stage II"
    assert outcome.history.series("train", "phi") == [0.5] * 12 + [1.0] * 12
    for name, weight in expected.model.state_dict().items():
        assert torch.allclose(student.state_dict()[name], weight, atol=5e-5), name
    unbumped("annealing_kd", losses)
