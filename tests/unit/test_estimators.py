"""Mini-KD and the supernet as estimators: one draw of rows, the same estimate each time, what each method reports."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.made import finetune, prepare, record

from distilgrid.core.errors import UserError
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.teaching import Sources
from distilgrid.search.architecture import Shape
from distilgrid.search.estimators.lessons import AnySettings, Lessons
from distilgrid.search.estimators.mini_kd import MiniKD
from distilgrid.search.estimators.settings import MiniKDSettings, SupernetSettings
from distilgrid.search.estimators.supernet_estimator import SupernetEstimator, train_supernet
from distilgrid.search.space import Space
from distilgrid.signals.base import ROWS
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Execution, Training

pytestmark = pytest.mark.chain

TRAINING = Training(max_length=32, precision="fp32")
NARROW, WIDE = Shape(2, 16, 2, 24), Shape(3, 32, 4, 64)
FAST: dict[str, Any] = {"epochs": 2, "learning_rate": 2e-3, "batch_size": 16}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("work")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=160, max_dev_rows=64), out=folder / "data")
    training = TRAINING.model_copy(update={"epochs": 4, "learning_rate": 2e-3, "batch_size": 16})
    finetune(
        data=folder / "data", source=f"path:{tiny_model}", training=training, seed=0, out=folder / "teacher", labels={}
    )
    for kind in ("logits", "hidden-states"):
        record(
            data=folder / "data",
            teacher=folder / "teacher",
            signal=ROWS[kind],
            max_length=32,
            out=folder / kind,
            labels={},
        )
    return folder


def lessons(work: Path, tiny_model: Path, settings: AnySettings) -> Lessons[AnySettings]:
    kind = "hidden-states" if settings.method.objective == "hidden_kd" else "logits"
    sources = Sources(work / "data", teachers=[work / "teacher"], teacher_outputs=[work / kind])
    return Lessons(settings, TRAINING, sources, tiny_model, execution=Execution(device="cpu"))


def mini(work: Path, tiny_model: Path, seed: int = 0, **settings: Any) -> MiniKD:
    chosen = MiniKDSettings(**{**FAST, **settings})
    return MiniKD(lessons(work, tiny_model, chosen), seed)


def test_the_defaults_are_those_of_the_reimplementations() -> None:
    training = MiniKDSettings().trained(Training())
    assert (MiniKDSettings().share, training.epochs, training.learning_rate, training.batch_size) == (0.3, 5, 5e-5, 32)
    assert MiniKDSettings(training={"epochs": 4}).trained(Training()).epochs == 4
    with pytest.raises(ValueError, match="learning_rat"):
        MiniKDSettings(training={"learning_rat": 1.0})


def test_an_estimate_repeats_and_depends_on_the_seed_alone(work: Path, tiny_model: Path) -> None:
    estimator = mini(work, tiny_model)
    first = estimator.estimate(NARROW)
    other = estimator.estimate(WIDE)
    again, elsewhere = estimator.estimate(NARROW), mini(work, tiny_model).estimate(NARROW)
    assert replace(first, seconds=0) == replace(again, seconds=0) == replace(elsewhere, seconds=0)
    assert mini(work, tiny_model, seed=1).estimate(NARROW).loss != first.loss
    assert first.seconds > 0
    assert other.loss != first.loss
    assert 0 <= first.score <= 1


def test_a_share_of_the_rows_is_drawn_once(work: Path, tiny_model: Path) -> None:
    estimator = mini(work, tiny_model, share=0.25)
    assert len(estimator.lessons.rows.labels) == 40
    rows = open_dataset(work / "data").split("train")["label"]
    share = float(estimator.lessons.rows.labels.float().mean())
    assert share == pytest.approx(float(rows.mean()), abs=0.03), "stratified"
    assert estimator.lessons.rows is estimator.lessons.rows


def test_hidden_states_are_judged_by_their_loss(work: Path, tiny_model: Path) -> None:
    only = {"objective": "hidden_kd", "hidden": {}, "task": None}
    short, long = (mini(work, tiny_model, method=only, epochs=n).estimate(NARROW) for n in (1, 8))
    assert long.loss < short.loss
    both = mini(work, tiny_model, method=HiddenKD(hidden={"epochs": 1}, task={"epochs": 2})).estimate(NARROW)
    assert both.loss == pytest.approx(short.loss, rel=0.2), "of the phase on hidden states"
    with pytest.raises(UserError, match="a student of 5 layers cannot imitate a teacher of 4"):
        mini(work, tiny_model, method=only).estimate(Shape(5, 32, 4, 64))


def test_a_trained_supernet_scores_its_slices(work: Path, tiny_model: Path) -> None:
    space = Space(layers=[1, 3], hidden=[16, 32], heads=[2, 4], feed_forward=[24, 64])
    settings = SupernetSettings(**{**FAST, "epochs": 4}, method=KD(alpha=1.0), probe_rows=50)
    taught = lessons(work, tiny_model, settings)
    supernet = train_supernet(taught, space)
    estimator = SupernetEstimator(supernet, taught)
    small, large = estimator.estimate(Shape(1, 16, 2, 24)), estimator.estimate(WIDE)
    assert replace(estimator.estimate(WIDE), seconds=0) == replace(large, seconds=0)
    assert large.loss < small.loss, "the larger slice is closer to the teacher"
    teacher = json.loads((work / "teacher/metrics.json").read_text())["dev"]["accuracy"]
    assert large.score > 0.7 * teacher
    tuning = settings.model_copy(update={"tuning_steps": 6})
    tuned = SupernetEstimator(supernet, lessons(work, tiny_model, tuning))
    assert replace(tuned.estimate(WIDE), seconds=0) == replace(tuned.estimate(WIDE), seconds=0)
    assert tuned.estimate(WIDE).loss != large.loss
    assert replace(estimator.estimate(WIDE), seconds=0) == replace(large, seconds=0), "tuning leaves the supernet alone"
