"""The training loop's loss sequence of each method against an independent loop written here.

The reference knows nothing of the package but its batches: it draws the same rows, computes the losses by hand on a
copy of the model, and updates the weights with an AdamW written out from Loshchilov and Hutter 2019.
"""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from distilgrid.core.fingerprint import derive_seed
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.pkd.declare import PKD
from distilgrid.methods.takd.declare import TAKD
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.models.settings import Student
from distilgrid.models.student import build_student
from distilgrid.tasks.batching import Encodings, Rows, epoch_batches
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training
from distilgrid.training.teacher import StoredTeacher

pytestmark = pytest.mark.chain

ROWS, STEPS, BATCH, RATE = 48, 6, 8, 1e-3
SETTINGS = Training(
    epochs=1,
    batch_size=BATCH,
    learning_rate=RATE,
    warmup_fraction=0.5,
    weight_decay=0.1,
    max_grad_norm=0.5,
    precision="fp32",
)
# The sequences that each declared version of a method gave. When a change of them is meant, bump the version in
# its `declare.py`, so that old results are not taken for new ones, and add the new sequence to the file.
GOLDEN: dict[str, list[float]] = json.loads(Path(__file__).with_name("sequences.json").read_text())


def reference_step(weights: list[Tensor], moments: list[tuple[Tensor, Tensor]], rate: float, step: int) -> None:
    """Clip to norm 0.5, then AdamW: m, v, bias correction, decoupled decay of matrices."""
    grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    norm = torch.sqrt(sum((g**2).sum() for g in grads))
    for weight, (m, v), grad in zip(weights, moments, grads, strict=True):
        g = grad * min(1.0, 0.5 / (float(norm) + 1e-6))
        m.mul_(0.9).add_(0.1 * g)
        v.mul_(0.999).add_(0.001 * g * g)
        if weight.dim() > 1:
            weight.data.mul_(1 - rate * 0.1)
        weight.data.sub_(rate * (m / (1 - 0.9**step)) / (torch.sqrt(v / (1 - 0.999**step)) + 1e-8))
        weight.grad = None


def log_softmax(x: Tensor) -> Tensor:
    return x - torch.log(torch.exp(x).sum(dim=1, keepdim=True))


def unit(x: Tensor) -> Tensor:
    return x / torch.sqrt((x**2).sum(dim=-1, keepdim=True))


def hand_loss(
    method: str, logits: Tensor, states: Tensor, labels: Tensor, t_logits: Tensor, t_states: Tensor
) -> Tensor:
    hard = -log_softmax(logits)[torch.arange(len(labels)), labels].mean()
    if method == "finetune":
        return hard
    target = torch.exp(log_softmax(t_logits / 4))
    soft = 16 * (target * (log_softmax(t_logits / 4) - log_softmax(logits / 4))).sum(dim=1).mean()
    total = 0.3 * hard + 0.7 * soft
    if method == "pkd":  # 2 student layers, 4 teacher layers: student layer 1 imitates teacher layer 2
        total = total + 1.5625 * ((unit(states[:, 0]) - unit(t_states[:, 1])) ** 2).sum(dim=-1).mean()
    return total


@pytest.fixture
def student(tiny_model: Path) -> torch.nn.Module:
    model = build_student(Student(layers=2), origin=tiny_model, teacher=None, outputs=2, auto=CLASSIFIER, seed=3)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # the reference draws no masks
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    return model


@pytest.fixture
def rows() -> Rows:
    chooser = np.random.default_rng(0)
    ids = [np.concatenate([[2], chooser.integers(5, 30, size=n), [3]]) for n in chooser.integers(2, 9, size=ROWS)]
    return Rows(
        Encodings.of(ids, [np.zeros_like(i) for i in ids], pad_id=0),
        torch.from_numpy(chooser.integers(0, 2, size=ROWS)),
    )


def reference_losses(model: torch.nn.Module, method: str, rows: Rows, logits: Tensor, states: Tensor) -> list[float]:
    weights = list(model.parameters())
    moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    shuffling = torch.Generator().manual_seed(derive_seed(7, "shuffle epoch 0"))
    losses = []
    batches = epoch_batches(rows.encodings.lengths, batch_size=BATCH, generator=shuffling)
    for step, batch in enumerate(batches, start=1):
        result = model(**rows.encodings.batch(batch), output_hidden_states=True)
        cls_states = torch.stack([h[:, 0] for h in result.hidden_states[1:]], dim=1)
        loss = hand_loss(method, result.logits, cls_states, rows.labels[batch], logits[batch], states[batch])
        loss.backward()
        done = step - 1
        factor = (done + 1) / 4 if done < 3 else (STEPS - done) / 3  # 3 warm-up steps of 6
        reference_step(weights, moments, RATE * factor, step)
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(
    "settings",
    [
        Finetune(),
        KD(alpha=0.7, temperature=4),
        PKD(alpha=0.7, temperature=4, beta=1.5625),
        TAKD(alpha=0.7, temperature=4, assistants=["between"]),
    ],
)
def test_loss_sequence(settings: BaseMethod, student: torch.nn.Module, rows: Rows, tiny_model: Path) -> None:
    teacher = load_model(tiny_model, outputs=2, auto=CLASSIFIER)
    with torch.no_grad():
        outputs = [teacher(**rows.encodings.batch([i]), output_hidden_states=True) for i in range(ROWS)]
    logits = torch.cat([o.logits for o in outputs])
    states = torch.stack([torch.stack([h[0, 0] for h in o.hidden_states[1:]]) for o in outputs])
    reference = copy.deepcopy(student).train()
    expected = reference_losses(reference, settings.objective, rows, logits, states)

    outcome = Trainer(
        student,
        settings.phases(SETTINGS, kind=LABEL),
        rows=rows,
        dev=rows,
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=7,
        teacher=StoredTeacher(logits, states),
    ).run()
    losses = outcome.history.series("train", "loss")
    assert losses == pytest.approx(expected, rel=2e-4)
    for name, weight in reference.state_dict().items():
        assert torch.allclose(student.state_dict()[name], weight, atol=2e-5), name
    version = f"{settings.objective} v{settings.version}"
    assert losses == pytest.approx(GOLDEN.get(version, []), rel=1e-3), f"{version}: results changed without a bump"


def test_a_golden_sequence_changes_with_the_seed(student: torch.nn.Module, rows: Rows) -> None:
    def losses(seed: int) -> list[float]:
        outcome = Trainer(
            copy.deepcopy(student),
            Finetune().phases(SETTINGS, kind=LABEL),
            rows=rows,
            dev=rows,
            kind=LABEL,
            metrics=["accuracy"],
            placement=Placement(),
            seed=seed,
            teacher=None,
        ).run()
        return outcome.history.series("train", "loss")

    assert losses(1) == losses(1) != losses(2)
