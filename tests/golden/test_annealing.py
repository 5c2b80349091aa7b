"""Annealing-KD and Continuation-KD: schedules and losses against references in NumPy."""

import math

import numpy as np
import pytest
import torch

from distilgrid.core.errors import UserError
from distilgrid.methods.annealing_kd.declare import AnnealingKD, check_annealing, sharpness, temperature
from distilgrid.methods.annealing_kd.losses import AnnealedObjective
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.continuation_kd.declare import ContinuationKD
from distilgrid.methods.continuation_kd.losses import ContinuedObjective
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.tasks.kinds.number.declare import KIND as NUMBER
from distilgrid.training.objective import Outputs, Phase
from distilgrid.training.settings import Training

GENERATOR = np.random.default_rng(3)
STUDENT = GENERATOR.normal(size=(6, 4)).astype(np.float32)
TEACHER = 3 * GENERATOR.normal(size=(6, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 2, 2, 0])


def cross_entropy(logits: np.ndarray) -> float:
    rows = [-row[label] + math.log(sum(math.exp(z) for z in row)) for row, label in zip(logits, LABELS, strict=True)]
    return sum(rows) / len(rows)


def losses(phase: Phase, moment: float, *, labels: np.ndarray = LABELS, teacher: bool = True) -> dict[str, float]:
    student, given = Outputs(torch.tensor(STUDENT)), Outputs(torch.tensor(TEACHER)) if teacher else None
    found = phase.objective(moment).losses(torch.tensor(labels), student, given)
    return {name: float(value) for name, value in found.items()}


def phases(method: BaseMethod, *, kind: TaskKind = LABEL, **training: int) -> list[Phase]:
    return method.phases(Training(**training), kind=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("tau_max", [1, 2, 7, 10])
def test_phi_goes_from_one_over_tau_max_to_one(tau_max: int) -> None:
    assert sharpness(tau_max, tau_max=tau_max) == pytest.approx(1 / tau_max)
    assert sharpness(1, tau_max=tau_max) == 1
    shown = [sharpness(t, tau_max=tau_max) for t in range(tau_max, 0, -1)]
    assert shown == pytest.approx([counter / tau_max for counter in range(1, tau_max + 1)]), "the code's counter form"


@pytest.mark.parametrize(("epochs", "tau_max"), [(14, 7), (10, 10), (200, 10), (6, 2)])
def test_temperatures_change_where_the_public_code_changes_them(epochs: int, tau_max: int) -> None:
    counter, expected = 1, []
    for epoch in range(epochs):  # the counter rises every int(epochs / tau_max) epochs, but not at the first
        counter += epoch > 0 and epoch % (epochs // tau_max) == 0
        expected.append(tau_max - counter + 1)
    assert [temperature(epoch, epochs=epochs, tau_max=tau_max) for epoch in range(epochs)] == expected
    assert [temperature(epoch + 0.999, epochs=epochs, tau_max=tau_max) for epoch in range(epochs)] == expected


@pytest.mark.parametrize(("epochs", "tau_max"), [(25, 10), (9, 4), (11, 10)])
def test_epochs_that_do_not_divide_are_spread(epochs: int, tau_max: int) -> None:
    found = [temperature(epoch, epochs=epochs, tau_max=tau_max) for epoch in range(epochs)]
    assert found == sorted(found, reverse=True)
    assert set(found) == set(range(1, tau_max + 1)), "every temperature has its turn, and none lies below 1"
    lengths = [found.count(t) for t in range(1, tau_max + 1)]
    assert max(lengths) - min(lengths) == 1
    assert temperature(epochs, epochs=epochs, tau_max=tau_max) == 1, "T stays at 1 afterwards"


def test_stage_one_is_the_mean_squared_error_with_annealed_logits() -> None:
    stage1, _ = phases(AnnealingKD(tau_max=4, stage1={"epochs": 8}, stage2={"epochs": 1}))
    for epoch in range(8):
        phi = (1 + epoch // 2) / 4
        assert losses(stage1, epoch + 0.5) == {"soft": pytest.approx(np.mean((STUDENT - phi * TEACHER) ** 2), rel=1e-5)}
        assert stage1.values(epoch) == {"temperature": 4 - epoch // 2, "phi": phi}


def test_stage_two_is_the_labels_alone() -> None:
    _, stage2 = phases(AnnealingKD(tau_max=2, stage1={"epochs": 2}, stage2={"epochs": 3}))
    assert losses(stage2, 1.0, teacher=False) == {"hard": pytest.approx(cross_entropy(STUDENT), rel=1e-5)}
    assert stage2.settings.epochs == 3


def test_each_stage_has_settings_of_its_own() -> None:
    method = AnnealingKD(tau_max=2, stage1={"epochs": 2, "learning_rate": 0.5}, stage2={"epochs": 3, "batch_size": 4})
    first, second = (phase.settings for phase in phases(method, epochs=9, batch_size=16))
    assert (first.epochs, first.learning_rate, first.batch_size) == (2, 0.5, 16)
    assert (second.epochs, second.learning_rate, second.batch_size) == (3, Training().learning_rate, 4)


def test_a_perfect_prediction_of_a_regression_has_no_loss() -> None:
    stage1, stage2 = phases(AnnealingKD(tau_max=1, stage1={"epochs": 1}), kind=NUMBER)
    values = torch.tensor([[0.0], [1.0], [2.0]])
    perfect = Outputs(values)
    assert float(stage2.objective(0).losses(values[:, 0], perfect, None)["hard"]) == 0
    assert float(stage1.objective(0).losses(values[:, 0], perfect, perfect)["soft"]) == 0


def test_the_kl_form_compares_with_softmax_of_annealed_logits() -> None:
    found = AnnealedObjective(0.25, "kl", LABEL).losses(
        torch.tensor(LABELS), Outputs(torch.tensor(STUDENT)), Outputs(torch.tensor(TEACHER))
    )
    p = np.exp(0.25 * TEACHER) / np.exp(0.25 * TEACHER).sum(axis=1, keepdims=True)
    q = np.exp(STUDENT) / np.exp(STUDENT).sum(axis=1, keepdims=True)
    assert float(found["soft"]) == pytest.approx(float((p * np.log(p / q)).sum(axis=1).mean()), rel=1e-5)


def test_more_temperatures_than_epochs_are_refused() -> None:
    with pytest.raises(UserError, match="stage1: tau_max 7 is larger than its 3 epoch"):
        phases(AnnealingKD(tau_max=7, stage1={"epochs": 3}))
    check_annealing(7, 7, where="here")


def test_continuation_against_its_formula() -> None:
    (phase,) = phases(ContinuationKD(tau_max=5, margin=0.3), epochs=10)
    for moment in (0.0, 2.5, 5.0, 9.75):
        phi, psi = (1 + int(moment) // 2) / 5, moment / 10
        rows = [max(0.0, float(((s - phi * t) ** 2).mean()) - 0.3 * phi) for s, t in zip(STUDENT, TEACHER, strict=True)]
        assert losses(phase, moment) == {
            "hard": pytest.approx(psi * cross_entropy(STUDENT), rel=1e-5),
            "soft": pytest.approx((1 - psi) * np.mean(rows), rel=1e-5),
        }


def test_the_margin_forgives_small_differences() -> None:
    teacher = Outputs(torch.tensor(TEACHER))
    objective = ContinuedObjective(phi=1.0, psi=0.0, margin=0.1, kind=LABEL)
    near, far = (Outputs(torch.tensor(TEACHER + shift)) for shift in (0.3, 0.4))
    assert float(objective.losses(torch.tensor(LABELS), near, teacher)["soft"]) == 0
    assert float(objective.losses(torch.tensor(LABELS), far, teacher)["soft"]) == pytest.approx(0.06, rel=1e-3)


def test_continuation_with_a_step_and_no_margin_is_annealing() -> None:
    method = ContinuationKD(tau_max=3, margin=0, psi="step", annealing=0.6)
    (continued,) = phases(method, epochs=10)
    stage1, stage2 = phases(AnnealingKD(tau_max=3, stage1={"epochs": 6}, stage2={"epochs": 4}))
    for epoch in range(10):
        one, other = (stage1, epoch) if epoch < 6 else (stage2, epoch - 6)
        expected = sum(losses(one, other).values())
        assert sum(losses(continued, epoch).values()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("epochs", "annealing", "refused"), [(3, 0.9, True), (3, 0.6, False), (1, 0.1, True)])
def test_a_step_that_leaves_the_labels_no_time_is_refused(epochs: int, annealing: float, refused: bool) -> None:
    with pytest.raises(ValueError, match="leaves no epoch"):
        ContinuationKD(psi="step")
    method = ContinuationKD(psi="step", annealing=annealing, tau_max=1)
    if refused:
        with pytest.raises(UserError, match="leaves no epoch"):
            phases(method, epochs=epochs)
    else:
        (phase,) = phases(method, epochs=epochs)
        assert phase.values(epochs - 1)["psi"] == 1


@pytest.mark.parametrize(
    ("share", "epochs", "falling"),
    [(0.5, 5, 3), (0.5, 7, 4), (0.1, 25, 3), (0.29, 50, 15), (0.4, 6, 2), (0.1, 3, 1), (1.0, 5, 5)],
)
def test_the_temperature_falls_for_the_nearest_number_of_epochs_halves_up(
    share: float, epochs: int, falling: int
) -> None:
    """Python's own rounding takes the even number for 2.5; 0.29 of 50 is 14.5, but a little less in binary."""
    method = ContinuationKD(tau_max=1, annealing=share)
    assert method.falling_epochs(Training(epochs=epochs)) == falling


@pytest.mark.parametrize(("epochs", "tau_max"), [(14, 7), (25, 10), (9, 4), (3, 3), (5, 1)])
def test_patience_counts_from_the_epoch_with_which_t_is_1(epochs: int, tau_max: int) -> None:
    found = [temperature(epoch, epochs=epochs, tau_max=tau_max) for epoch in range(epochs)]
    stage1, stage2 = phases(AnnealingKD(tau_max=tau_max, stage1={"epochs": epochs}))
    assert (stage1.patient_from, stage2.patient_from) == (found.index(1), 0)
