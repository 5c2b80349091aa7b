"""MixKD's loss sequence against an independent loop: mixing, losses and updates written out by hand.

The reference takes from the package only the batches of rows and which pairs are mixed by how much.
"""

import copy

import numpy as np
import pytest
import torch
from tests.golden.test_loss_sequences import (
    BATCH,
    GOLDEN,
    RATE,
    SETTINGS,
    STEPS,
    log_softmax,
    reference_step,
    rows,
    student,
)
from torch import Tensor

from distilgrid.core.fingerprint import derive_seed
from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.methods.mixkd.losses import Mixing, MixKDObjective
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.signals.mixed.mixing import Schedule, make_schedule
from distilgrid.signals.mixed.plan import Mixup
from distilgrid.tasks.batching import Rows, epoch_batches
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.loop import Trainer
from distilgrid.training.objective import plain
from distilgrid.training.placement import Placement
from distilgrid.training.teacher import StoredTeacher

pytestmark = pytest.mark.chain

__all__ = ["rows", "student"]  # fixtures
METHOD = MixKD(alpha_sm=0.5, alpha_tmkd=2.0, alpha_kd=0.25, mixup=Mixup(beta=0.4))


def row_inputs(rows: Rows, row: int) -> Tensor:
    """The token ids of one row, unpadded."""
    encodings = rows.encodings
    return torch.from_numpy(encodings.tokens[encodings.offsets[row] : encodings.offsets[row + 1]].astype(np.int64))


def mixed_output(model: torch.nn.Module, rows: Rows, first: int, second: int, weight: float) -> Tensor:
    """The logits of one mixed sample, from embeddings mixed position by position."""
    a, b = row_inputs(rows, first), row_inputs(rows, second)
    length = max(len(a), len(b))
    table = model.bert.embeddings.word_embeddings.weight  # type: ignore[union-attr]
    padding = table[0].detach()  # no gradient reaches it
    mixed = [
        weight * (table[a[i]] if i < len(a) else padding) + (1 - weight) * (table[b[i]] if i < len(b) else padding)
        for i in range(length)
    ]
    return model(inputs_embeds=torch.stack(mixed)[None]).logits[0]


def hand_loss(
    model: torch.nn.Module, rows: Rows, batch: list[int], mixed: list[int], given: dict[str, object]
) -> Tensor:
    schedule, on_rows, on_mixed = given["schedule"], given["rows"], given["mixed"]
    assert isinstance(schedule, Schedule) and isinstance(on_rows, Tensor) and isinstance(on_mixed, Tensor)
    logits = torch.stack([model(input_ids=row_inputs(rows, i)[None]).logits[0] for i in batch])
    hard = -log_softmax(logits)[torch.arange(len(batch)), rows.labels[batch]].mean()
    soft = ((logits - on_rows[batch]) ** 2).mean()
    pairs = schedule.mixtures
    outputs, targets = [], []
    for sample in mixed:
        first, second, weight = int(pairs.first[sample]), int(pairs.second[sample]), float(pairs.weight[sample])
        outputs.append(mixed_output(model, rows, first, second, weight))
        target = torch.zeros(2)
        target[rows.labels[first]] += weight
        target[rows.labels[second]] += 1 - weight
        targets.append(target)
    own = torch.stack(outputs)
    mixed_hard = -(torch.stack(targets) * log_softmax(own)).sum(dim=1).mean()
    mixed_soft = ((own - on_mixed[mixed]) ** 2).mean()
    return hard + 0.25 * soft + 0.5 * mixed_hard + 2.0 * mixed_soft


def reference_losses(model: torch.nn.Module, rows: Rows, given: dict[str, object]) -> list[float]:
    schedule = given["schedule"]
    assert isinstance(schedule, Schedule)
    weights = list(model.parameters())
    moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    shuffling = torch.Generator().manual_seed(derive_seed(7, "shuffle epoch 0"))
    batches = epoch_batches(rows.encodings.lengths, batch_size=BATCH, generator=shuffling)
    order = np.random.default_rng(derive_seed(7, "mixed epoch 0")).permutation(STEPS)
    losses = []
    for step, batch in enumerate(batches, start=1):
        loss = hand_loss(model, rows, batch, schedule.epochs[0][order[step - 1]], given)
        loss.backward()
        done = step - 1
        reference_step(weights, moments, RATE * ((done + 1) / 4 if done < 3 else (STEPS - done) / 3), step)
        losses.append(float(loss.detach()))
    return losses


@pytest.fixture
def given(tiny_model: object, rows: Rows) -> dict[str, object]:
    """The schedule, and the teacher's outputs sample by sample."""
    teacher = load_model(str(tiny_model), outputs=2, auto=CLASSIFIER)
    schedule = make_schedule(rows.encodings.lengths, METHOD.mixup, SETTINGS)
    pairs = schedule.mixtures
    with torch.no_grad():
        on_rows = torch.cat([teacher(input_ids=row_inputs(rows, i)[None]).logits for i in range(len(rows.labels))])
        samples = zip(pairs.first, pairs.second, pairs.weight, strict=True)
        on_mixed = torch.stack([mixed_output(teacher, rows, int(i), int(j), float(w)) for i, j, w in samples])
    return {"schedule": schedule, "rows": on_rows, "mixed": on_mixed}


def test_loss_sequence(student: torch.nn.Module, rows: Rows, given: dict[str, object]) -> None:
    reference = copy.deepcopy(student).train()
    expected = reference_losses(reference, rows, given)
    schedule, on_rows, on_mixed = given["schedule"], given["rows"], given["mixed"]
    assert isinstance(schedule, Schedule) and isinstance(on_rows, Tensor) and isinstance(on_mixed, Tensor)
    objective = MixKDObjective(METHOD, kind=LABEL)
    outcome = Trainer(
        student,  # type: ignore[arg-type]
        plain(objective, SETTINGS),
        rows=rows,
        dev=rows,
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=7,
        teacher=StoredTeacher(on_rows),
        extras=[Mixing(schedule, objective, StoredTeacher(on_mixed))],
    ).run()
    losses = outcome.history.series("train", "loss")
    assert losses == pytest.approx(expected, rel=2e-4)
    for name, weight in reference.state_dict().items():
        assert torch.allclose(student.state_dict()[name], weight, atol=2e-5), name
    version = f"mixkd v{MixKD.version}"
    assert losses == pytest.approx(GOLDEN.get(version, []), rel=1e-3), f"{version}: results changed without a bump"
