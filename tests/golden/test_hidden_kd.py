"""Hidden-state distillation: the mapping and the loss by hand, and both phases against a loop of their own."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch
from tests.golden.test_loss_sequences import GOLDEN, log_softmax, reference_step, rows
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.hidden_kd.losses import HiddenObjective, imitated_layers
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.models.settings import Student, StudentShape
from distilgrid.models.shapes import Sizes
from distilgrid.models.student import build_student
from distilgrid.tasks.batching import Rows, epoch_batches
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.loop import Trainer
from distilgrid.training.objective import Outputs
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training
from distilgrid.training.teacher import StoredTeacher, TokenStates

pytestmark = pytest.mark.chain

__all__ = ["rows"]

RATE, BATCH, STEPS = 1e-2, 8, 6
SETTINGS = Training(batch_size=BATCH, warmup_fraction=0, weight_decay=0.1, max_grad_norm=0.5, precision="fp32")
METHOD = HiddenKD(
    alpha=0.7,
    temperature=4,
    hidden={"epochs": 3, "learning_rate": RATE},
    task={"epochs": 1, "learning_rate": RATE / 2},
)


def test_the_mapping_by_hand() -> None:
    assert imitated_layers("uniform+last", student=3, teacher=12) == [(0, 9), (4, 10), (8, 11)]
    assert imitated_layers("uniform+last", student=5, teacher=12) == [(0, 7), (2, 8), (4, 9), (7, 10), (9, 11)]
    assert imitated_layers("uniform", student=4, teacher=6) == [(0,), (1,), (3,), (4,)]
    assert imitated_layers("last", student=4, teacher=6) == [(2,), (3,), (4,), (5,)]
    assert imitated_layers("uniform+last", student=2, teacher=2) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("shared", [True, False])
def test_the_loss_by_hand(shared: bool) -> None:
    torch.manual_seed(0)
    own, theirs = torch.randn(5, 2, 3), torch.randn(5, 4, 6)
    objective = HiddenObjective(HiddenKD(projection="shared" if shared else "layer"))
    companion = objective.companion(Sizes(2, 3), Sizes(4, 6), seed=1)
    maps = [p.detach() for p in companion.parameters()]
    assert [tuple(p.shape) for p in maps] == [(12, 3), (12,)] * (1 if shared else 2)
    total = 0.0
    for token in range(5):
        for layer, (uniform, last) in enumerate([(0, 2), (2, 3)]):
            weight, bias = maps[:2] if shared else maps[2 * layer : 2 * layer + 2]
            wanted = torch.cat([theirs[token, uniform], theirs[token, last]])
            total += float(((weight @ own[token, layer] + bias - wanted) ** 2).sum())
    projected = companion(Outputs(torch.zeros(2, 2), token_states=own))
    losses = objective.losses(torch.zeros(2), projected, Outputs(torch.zeros(2, 2), token_states=theirs.half()))
    assert float(losses["hidden"].detach()) == pytest.approx(total / (5 * 2 * 12), rel=1e-3)


def test_a_student_that_cannot_imitate_is_refused() -> None:
    objective = HiddenObjective(HiddenKD())
    with pytest.raises(UserError, match="a student of 5 layers cannot imitate a teacher of 4; take a shallower"):
        objective.companion(Sizes(5, 8), Sizes(4, 8), seed=0)
    with pytest.raises(UserError, match="no hidden states"):
        objective.companion(Sizes(2, 8), None, seed=0)
    states = [Outputs(torch.zeros(1, 2), token_states=torch.zeros(n, 1, 4)) for n in (5, 6)]
    with pytest.raises(UserError, match=r"reads 5 tokens and the teacher 6; both need the same tokeniser"):
        objective.losses(torch.zeros(1), *states)


@dataclasses.dataclass
class Lesson:
    """What the teacher says of each row alone: logits, and states (layers, L, H)."""

    logits: Tensor
    states: list[Tensor]


@pytest.fixture
def lesson(rows: Rows, tiny_model: Path) -> Lesson:
    torch.manual_seed(1)
    teacher = load_model(tiny_model, outputs=2, auto=CLASSIFIER)
    with torch.no_grad():
        found = [teacher(**rows.encodings.batch([i]), output_hidden_states=True) for i in range(len(rows.labels))]
    states = [torch.stack(f.hidden_states[1:], dim=1)[0].half().float() for f in found]
    return Lesson(torch.cat([5 * f.logits for f in found]), states)


@pytest.fixture
def student(tiny_model: Path) -> torch.nn.Module:
    shape = StudentShape(num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=24)
    model = build_student(
        Student(architecture=shape),
        origin=tiny_model,
        teacher=None,
        outputs=2,
        auto=CLASSIFIER,
        seed=3,
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    return model


class Reference:
    """Both phases by hand."""

    def __init__(self, model: torch.nn.Module, rows: Rows, lesson: Lesson) -> None:
        self.model, self.rows, self.lesson = model, rows, lesson
        torch.manual_seed(derive_seed(7, "companion"))
        self.projection = torch.nn.Linear(16, 64)
        self.losses: list[float] = []
        self.phase(first=0, epochs=3, rate=RATE)
        self.phase(first=3, epochs=1, rate=RATE / 2)

    def phase(self, *, first: int, epochs: int, rate: float) -> None:
        weights = [*self.model.parameters(), *self.projection.parameters()]
        moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
        step, total = 0, epochs * STEPS
        for epoch in range(first, first + epochs):
            shuffling = torch.Generator().manual_seed(derive_seed(7, f"shuffle epoch {epoch}"))
            for batch in epoch_batches(self.rows.encodings.lengths, batch_size=BATCH, generator=shuffling):
                loss = self.hidden(batch) if first == 0 else self.task(batch)
                loss.backward()
                reference_step(weights, moments, rate * (total - step) / total, step + 1)
                step += 1
                self.losses.append(float(loss.detach()))

    def hidden(self, batch: list[int]) -> Tensor:
        """Row by row and token by token; padding is never touched."""
        states = self.model(**self.rows.encodings.batch(batch), output_hidden_states=True).hidden_states
        squares, count = torch.zeros(()), 0
        for place, row in enumerate(batch):
            theirs = self.lesson.states[row]
            for token in range(theirs.shape[1]):
                for layer, (uniform, last) in enumerate([(0, 2), (2, 3)]):
                    mapped = self.projection(states[layer + 1][place, token])
                    wanted = torch.cat([theirs[uniform, token], theirs[last, token]])
                    squares = squares + ((mapped - wanted) ** 2).sum()
                    count += len(wanted)
        return squares / count

    def task(self, batch: list[int]) -> Tensor:
        logits = self.model(**self.rows.encodings.batch(batch)).logits
        theirs, own = (log_softmax(z / 4) for z in (self.lesson.logits[batch], logits))
        soft = 16 * (theirs.exp() * (theirs - own)).sum(dim=1).mean()
        return 0.3 * -log_softmax(logits)[torch.arange(len(batch)), self.rows.labels[batch]].mean() + 0.7 * soft


def stored(lesson: Lesson, rows: Rows) -> StoredTeacher:
    """As a recording holds it."""
    values = torch.cat([states.transpose(0, 1) for states in lesson.states]).half()
    return StoredTeacher(lesson.logits, None, TokenStates.packed(values, torch.from_numpy(rows.encodings.lengths)))


def test_both_phases(student: torch.nn.Module, rows: Rows, lesson: Lesson) -> None:
    expected = Reference(copy.deepcopy(student).train(), rows, lesson)
    names = set(student.state_dict())
    dev = Rows(rows.encodings.take(range(20)), rows.labels[:20])
    outcome = Trainer(
        student,  # type: ignore[arg-type]
        METHOD.phases(SETTINGS, kind=LABEL),
        rows=rows,
        dev=dev,
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=7,
        teacher=stored(lesson, rows),
    ).run()
    losses = outcome.history.series("train", "loss")
    assert losses == pytest.approx(expected.losses, rel=1e-3)
    assert outcome.phases[0]["best_step"] == 3 * STEPS, "the last weights of the hidden phase, whatever dev says"
    assert outcome.last_losses["hidden"] == pytest.approx(sum(expected.losses[12:18]) / 6, rel=1e-3)
    assert outcome.last_losses["loss"] == pytest.approx(sum(expected.losses[18:]) / 6, rel=1e-3)
    assert set(student.state_dict()) == names, "the projection is no part of the student"
    for name, weight in expected.model.state_dict().items():
        assert torch.allclose(student.state_dict()[name], weight, atol=1e-4), name
    version = f"hidden_kd v{HiddenKD.version}"
    golden = pytest.approx(GOLDEN.get(version, []), rel=1e-2, abs=1e-6)
    assert losses == golden, f"{version}: results changed without a bump"
