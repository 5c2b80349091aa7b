"""DKD's losses against the paper's equations, written once more in NumPy."""

import numpy as np
import pytest
import torch
from distilgrid_dkd.declare import DKD
from distilgrid_dkd.losses import DKDObjective, decoupled

from distilgrid.core.errors import UserError
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.objective import Outputs
from distilgrid.training.settings import Training

RANDOM = np.random.default_rng(0)
STUDENT, TEACHER = (3 * RANDOM.standard_normal((6, 5)).astype(np.float32) for _ in range(2))
LABELS = np.array([0, 4, 2, 2, 1, 3])
GOLDEN = {"hard": 4.13255167, "target": 3.13390040, "others": 26.87275124}


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max())
    return shifted / shifted.sum()


def divergence(teacher: np.ndarray, student: np.ndarray) -> float:
    return float((teacher * np.log(teacher / student)).sum())


def reference(temperature: float) -> tuple[float, float]:
    """TCKD and NCKD row by row, from the definitions of section 3 of the paper."""
    target, others = [], []
    for z_s, z_t, label in zip(STUDENT.astype(float), TEACHER.astype(float), LABELS, strict=True):
        p_s, p_t = softmax(z_s / temperature), softmax(z_t / temperature)
        binary = [np.array([p[label], 1 - p[label]]) for p in (p_t, p_s)]
        rest = [np.delete(p, label) / (1 - p[label]) for p in (p_t, p_s)]
        target.append(divergence(*binary))
        others.append(divergence(*rest))
    return float(np.mean(target)), float(np.mean(others))


def terms(settings: DKD, weight: float = 1.0) -> dict[str, float]:
    outputs = Outputs(torch.tensor(STUDENT)), Outputs(torch.tensor(TEACHER))
    found = DKDObjective(settings, weight).losses(torch.tensor(LABELS), *outputs)
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_both_parts_follow_the_paper(temperature: float) -> None:
    expected = reference(temperature)
    found = terms(DKD(alpha=0.5, beta=3.0, temperature=temperature), weight=0.25)
    scale = 0.25 * temperature**2
    assert found["target"] == pytest.approx(0.5 * scale * expected[0], rel=1e-5)
    assert found["others"] == pytest.approx(3.0 * scale * expected[1], rel=1e-5)
    chosen = [np.log(softmax(row)[label]) for row, label in zip(STUDENT.astype(float), LABELS, strict=True)]
    assert found["hard"] == pytest.approx(-np.mean(chosen), rel=1e-5)


def test_values_do_not_change_without_a_new_version() -> None:
    assert DKD.version == 1
    assert terms(DKD()) == pytest.approx(GOLDEN, rel=1e-5)


def test_kd_is_the_parts_with_the_teachers_own_weight() -> None:
    """Equation 6 of the paper: KD = TCKD + (1 - p_t) * NCKD, row by row."""
    whole = 0.0
    for row in range(len(LABELS)):
        one = (torch.tensor(logits[row : row + 1]) for logits in (STUDENT, TEACHER))
        target, others = decoupled(*one, torch.tensor(LABELS[row : row + 1]), temperature=2.0)
        whole += float(target + (1 - softmax(TEACHER[row].astype(float) / 2)[LABELS[row]]) * others)
    kd = float(LABEL.losses().soft(torch.tensor(STUDENT), torch.tensor(TEACHER), temperature=2.0)) / 4
    assert whole / len(LABELS) == pytest.approx(kd, rel=1e-5)


def test_probabilities_name_their_target() -> None:
    soft = torch.nn.functional.one_hot(torch.tensor(LABELS), 5).float() * 0.6 + 0.1
    given = (torch.tensor(STUDENT), torch.tensor(TEACHER))
    hard = decoupled(*given, torch.tensor(LABELS), temperature=1.0)
    assert decoupled(*given, soft, temperature=1.0) == hard


def test_the_weight_grows_in_the_warm_up() -> None:
    (phase,) = DKD(warmup=2).phases(Training(epochs=3), kind=LABEL)
    assert [phase.objective(moment).weight for moment in (0.0, 1.0, 2.5)] == [0.0, 0.5, 1.0]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"warmup 4 is longer than 3 epoch\(s\)"):
        DKD(warmup=4).check(Training(epochs=3))
    assert DKD.accepts("label") and DKD.accepts("image") and not DKD.accepts("number")
