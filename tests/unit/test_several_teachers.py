"""Cells that learn from several teachers at once: planned, recorded, opened and trained."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from safetensors.torch import load_file
from tests.unit.made import Cell, distill, finetune, prepare, record
from torch import Tensor
from torch.nn import functional as F

from distilgrid.core.errors import UserError
from distilgrid.core.planned import listed
from distilgrid.core.schema import deep_merge
from distilgrid.methods.base import MANY, TaughtMethod
from distilgrid.methods.teaching import Sources
from distilgrid.models.settings import Student
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import parse_params
from distilgrid.signals.base import ROWS, Signal
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.objective import Objective, Outputs, Phase, plain
from distilgrid.training.settings import Training

TRAINING = Training(epochs=1, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")


class MeanObjective(Objective):
    """The squared distance from the mean of all teachers' logits."""

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The single term `soft`."""
        assert teacher is not None
        everyone = torch.stack([each.logits for each in (teacher, *teacher.others)])
        return {"soft": F.mse_loss(student.logits, everyone.mean(dim=0))}


class Averaged(TaughtMethod):
    """Learns from the mean of at least two teachers."""

    teachers: ClassVar[tuple[int, int]] = (2, MANY)

    objective: Literal["averaged"] = "averaged"

    def signals(self) -> tuple[Signal, ...]:
        """Logits."""
        return (ROWS["logits"],)

    def phases(self, training: Training, *, kind: TaskKind) -> list[Phase]:
        """One."""
        return plain(MeanObjective(), training)


def plan(tiny_values: dict[str, Any], teachers: list[Any], *methods: str, live: bool = False) -> Plan:
    """A grid of two teachers, some of whose methods average them."""
    other = {"teachers": {"other": {**tiny_values["teachers"]["tiny"], "seed": 1}}}
    grid = {"teachers": teachers, "methods": ["finetune", "kd"], "seeds": [0], "baselines": []}
    params = parse_params(deep_merge(deep_merge(tiny_values, other), {"grid": grid}), origin="test")
    averaged = Averaged(teacher="live" if live else "recorded")
    defined = {**params.methods, "averaged": averaged}
    own = params.grid.model_copy(update={"methods": list(methods)})
    return expand(params.model_copy(update={"methods": defined, "grid": own}))


def test_each_teacher_is_trained_and_recorded_once(tiny_values: dict[str, Any]) -> None:
    found = plan(tiny_values, ["tiny", ["tiny", "other"]], "finetune", "kd", "averaged")
    cells = {(s.labels["teacher"], s.labels["method"]) for s in found.students}
    alone = {("tiny", method) for method in ("finetune", "kd")}
    assert cells == alone | {("tiny+other", method) for method in ("finetune", "averaged")}, "kd learns from one"
    assert [t.labels["teacher"] for t in found.teachers] == ["tiny", "other"]
    assert [r.labels["teacher"] for r in found.of("record")] == ["tiny", "other"]
    student = next(s for s in found.students if s.labels["method"] == "averaged")
    assert listed(student.inputs["teacher-outputs"]) == found.of("record")
    assert "/tiny+other/averaged/" in student.location
    assert student.options["teacher"] == "tiny+other"
    (measured,) = [b for b in found.benchmarks if b.labels["teacher"] == "other"]
    assert "tiny+other" in {model.labels["teacher"] for model in listed(measured.inputs["model"])}


def test_live_teachers_are_all_inputs(tiny_values: dict[str, Any]) -> None:
    found = plan(tiny_values, [["tiny", "other"]], "averaged", live=True)
    assert listed(found.students[0].inputs["teacher-dir"]) == found.teachers


def test_a_method_for_one_teacher_is_refused(tiny_values: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        plan(tiny_values, [["tiny", "other"]], "finetune", "kd")
    assert str(caught.value) == (
        "grid.methods: 'kd' fits nothing else in the grid; method 'kd' learns from 1 teacher(s), but 'tiny+other' has "
        "2: change grid.teachers, or take it out"
    )


@pytest.mark.parametrize(
    ("teachers", "said"),
    [
        ([["tiny", "tiny"]], "must name each teacher of a cell once, found 'tiny+tiny'"),
        ([["tiny", "tinny"]], "grid.teachers: unknown teacher 'tinny'; did you mean 'tiny'?"),
        ([["tiny"], "tiny"], "teachers must list each value once"),
    ],
)
def test_teachers_that_cannot_be(tiny_values: dict[str, Any], teachers: list[Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        plan(tiny_values, teachers, "finetune")
    assert said in str(caught.value)


def test_recorded_and_live_teachers_teach_the_same(reviews_csv: Path, tiny_model: Path, tmp_path: Path) -> None:
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=96, max_dev_rows=32), out=tmp_path / "data")
    source, given = f"path:{tiny_model}", {"data": tmp_path / "data", "labels": {}}
    teachers, recordings = [tmp_path / "one", tmp_path / "two"], [tmp_path / "of-one", tmp_path / "of-two"]
    for seed, (teacher, recording) in enumerate(zip(teachers, recordings, strict=True)):
        finetune(source=source, training=TRAINING, seed=seed, out=teacher, **given)  # type: ignore[arg-type]
        record(signal=ROWS["logits"], teacher=teacher, max_length=32, out=recording, **given)  # type: ignore[arg-type]
    cell = Cell(Averaged(), Student(layers=2), source, TRAINING, "none", 1.0, 0)
    taught: dict[str, dict[str, Any]] = {
        "recorded": {"teacher_outputs": recordings},
        "live": {"teachers": teachers},
        "swapped": {"teacher_outputs": recordings[::-1]},
        "alone": {"teacher_outputs": recordings[:1]},
    }
    forwards = {}
    for name, sources in taught.items():
        metrics = distill(cell=cell, sources=Sources(tmp_path / "data", **sources), out=tmp_path / name, labels={})
        forwards[name] = metrics["teacher_forwards"] / metrics["train_rows"]
    assert forwards == {"recorded": 0, "live": 2, "swapped": 0, "alone": 0}
    weights = {name: load_file(tmp_path / name / "model.safetensors")["classifier.weight"] for name in taught}
    assert torch.equal(weights["recorded"], weights["live"])
    assert torch.allclose(weights["recorded"], weights["swapped"], atol=1e-6), "a mean has no order"
    assert not torch.allclose(weights["recorded"], weights["alone"], atol=1e-5)
