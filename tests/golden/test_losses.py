"""Each method's loss against an independent reference in NumPy."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from distilgrid.core.errors import UserError
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.finetune.losses import FinetuneObjective
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.kd.losses import KDObjective
from distilgrid.methods.pkd.declare import PKD
from distilgrid.methods.pkd.losses import PKDObjective, mapped_layers
from distilgrid.methods.registry import METHODS, method_classes
from distilgrid.methods.takd.declare import TAKD
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.tasks.kinds.number.declare import KIND as NUMBER
from distilgrid.training.objective import Outputs
from distilgrid.training.settings import Training

GENERATOR = np.random.default_rng(0)
STUDENT = GENERATOR.normal(size=(5, 3)).astype(np.float32)
TEACHER = GENERATOR.normal(size=(5, 3)).astype(np.float32) * 3
LABELS = np.array([0, 2, 1, 1, 0])
STUDENT_STATES = GENERATOR.normal(size=(5, 3, 8)).astype(np.float32)
TEACHER_STATES = GENERATOR.normal(size=(5, 6, 8)).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.mean([np.log(softmax(logits)[i, label]) for i, label in enumerate(labels)]))


def kl(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return float(temperature**2 * np.sum(p * (np.log(p) - np.log(q))) / len(p))


def patience(student: np.ndarray, teacher: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    squares = []
    for row in range(len(student)):
        for s, t in pairs:
            a, b = student[row, s - 1], teacher[row, t - 1]
            squares.append(2 - 2 * float(a @ b) / float(np.sqrt((a**2).sum() * (b**2).sum())))  # of two unit vectors
    return float(np.mean(squares))


def terms(objective: object, *, states: bool = False, labels: np.ndarray = LABELS) -> dict[str, float]:
    student = Outputs(torch.tensor(STUDENT), torch.tensor(STUDENT_STATES) if states else None)
    teacher = Outputs(torch.tensor(TEACHER), torch.tensor(TEACHER_STATES) if states else None)
    found = objective.losses(torch.tensor(labels), student, teacher)  # type: ignore[attr-defined]
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("name", METHODS)
def test_every_registered_method_can_be_built(name: str) -> None:
    without_preset = {"takd": TAKD(assistants=["middle"]), "hidden_kd": HiddenKD()}
    presets = [*method_classes()[name].presets().values()]
    settings = presets[0] if presets else without_preset[name]
    phases = settings.phases(Training(epochs=20), kind=LABEL)
    assert all(hasattr(phase.objective(0.0), "losses") for phase in phases)


def test_finetune_is_cross_entropy() -> None:
    found = terms(FinetuneObjective(Finetune(), kind=LABEL))
    assert found == {"hard": pytest.approx(cross_entropy(STUDENT, LABELS), rel=1e-5)}


@pytest.mark.parametrize(("alpha", "temperature"), [(0.7, 4.0), (0.0, 1.0), (1.0, 20.0)])
def test_kd_with_kl(alpha: float, temperature: float) -> None:
    found = terms(KDObjective(KD(alpha=alpha, temperature=temperature), kind=LABEL))
    assert found["hard"] == pytest.approx((1 - alpha) * cross_entropy(STUDENT, LABELS), rel=1e-5)
    assert found["soft"] == pytest.approx(alpha * kl(STUDENT, TEACHER, temperature), rel=1e-5)


def test_kd_with_mse_on_logits() -> None:
    found = terms(KDObjective(KD(alpha=0.4, loss="mse"), kind=LABEL))
    assert found["soft"] == pytest.approx(0.4 * float(np.mean((STUDENT - TEACHER) ** 2)), rel=1e-5)


def test_a_student_equal_to_its_teacher_has_no_soft_loss() -> None:
    logits = Outputs(torch.tensor(TEACHER))
    for loss in ("kl", "mse"):
        found = KDObjective(KD(loss=loss), kind=LABEL).losses(torch.tensor(LABELS), logits, logits)
        assert float(found["soft"]) == pytest.approx(0, abs=1e-6)


def test_regression_uses_squared_errors_of_the_single_output() -> None:
    labels = np.array([0.5, 1.5, 2.0, 4.0, 5.0], dtype=np.float32)
    student, teacher = Outputs(torch.tensor(STUDENT[:, :1])), Outputs(torch.tensor(TEACHER[:, :1]))
    found = KDObjective(KD(alpha=0.3), kind=NUMBER).losses(torch.tensor(labels), student, teacher)
    assert float(found["hard"]) == pytest.approx(0.7 * np.mean((STUDENT[:, 0] - labels) ** 2), rel=1e-5)
    assert float(found["soft"]) == pytest.approx(0.3 * np.mean((STUDENT[:, 0] - TEACHER[:, 0]) ** 2), rel=1e-5)
    perfect = Outputs(torch.tensor(labels[:, None]))
    zero = FinetuneObjective(Finetune(), kind=NUMBER).losses(torch.tensor(labels), perfect, None)
    assert float(zero["hard"]) == 0


@pytest.mark.parametrize(("layers", "pairs"), [("skip", [(1, 2), (2, 4)]), ("last", [(1, 4), (2, 5)])])
def test_pkd(layers: str, pairs: list[tuple[int, int]]) -> None:
    settings = PKD.model_validate({"alpha": 0.5, "temperature": 10, "beta": 100, "layers": layers})
    found = terms(PKDObjective(settings, kind=LABEL), states=True)
    assert found["hard"] == pytest.approx(0.5 * cross_entropy(STUDENT, LABELS), rel=1e-5)
    assert found["soft"] == pytest.approx(0.5 * kl(STUDENT, TEACHER, 10), rel=1e-5)
    assert found["patience"] == pytest.approx(100 * patience(STUDENT_STATES, TEACHER_STATES, pairs), rel=1e-5)


def test_pkd_ignores_the_length_of_the_states() -> None:
    objective = PKDObjective(PKD(), kind=LABEL)
    states = torch.tensor(TEACHER_STATES)
    same = objective.patience(states[:, [1, 3, 5]] * 7, states)
    assert float(same) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("width", [128, 768])
def test_pkd_weighs_an_angle_alike_at_any_width(width: int) -> None:
    states = torch.zeros(5, 3, width)
    states[..., 0] = 2.0
    turned = torch.zeros(5, 6, width)
    turned[..., 1] = 3.0
    assert float(PKDObjective(PKD(), kind=LABEL).patience(states, turned)) == pytest.approx(2.0), "2 - 2 cos 90 degrees"


def test_pkd_by_default_is_the_public_code_at_its_width() -> None:
    student, teacher = (torch.tensor(GENERATOR.normal(size=(4, layers, 768))) for layers in (6, 12))
    own, theirs = (x / x.pow(2).sum(dim=-1, keepdim=True).sqrt() for x in (student[:, :5], teacher[:, [1, 3, 5, 7, 9]]))
    published = 500 * ((own - theirs) ** 2).mean()
    here = PKD().beta * PKDObjective(PKD(), kind=LABEL).patience(student, teacher)
    assert float(here) == pytest.approx(float(published), rel=2e-3), "beta is rounded to two digits"


def test_pkd_skips_evenly_where_layers_do_not_divide() -> None:
    assert mapped_layers(student=8, teacher=12, layers="skip") == [2, 3, 5, 6, 8, 9, 11]
    assert mapped_layers(student=4, teacher=6, layers="skip") == [2, 3, 5]
    assert mapped_layers(student=4, teacher=10, layers="skip") == [3, 5, 8]
    for teacher in range(1, 25):
        for student in range(1, teacher + 1):
            found = mapped_layers(student=student, teacher=teacher, layers="skip")
            steps = {b - a for a, b in pairwise(found)}
            assert all(step > 0 for step in steps) and len(steps) <= 2 and all(1 <= layer <= teacher for layer in found)


def test_pkd_maps_the_layers_of_the_paper() -> None:
    assert mapped_layers(student=6, teacher=12, layers="skip") == [2, 4, 6, 8, 10]
    assert mapped_layers(student=6, teacher=12, layers="last") == [7, 8, 9, 10, 11]
    assert mapped_layers(student=3, teacher=12, layers="skip") == [4, 8]


def test_pkd_of_a_single_layer_has_no_patience() -> None:
    states = torch.tensor(STUDENT_STATES[:, :1], requires_grad=True)
    found = PKDObjective(PKD(), kind=LABEL).patience(states, torch.tensor(TEACHER_STATES))
    assert found.item() == 0


@pytest.mark.parametrize("shape", [(5, 3, 4), (5, 7, 8)])
def test_pkd_refuses_students_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="cannot imitate"):
        PKDObjective(PKD(), kind=LABEL).patience(torch.zeros(shape), torch.tensor(TEACHER_STATES))
