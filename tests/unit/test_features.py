"""A teacher's features: which points there are, what they are, how they are planned and refused."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer.main
from tests.unit.made import augment, features
from tests.unit.tiny_augmentation import prepare_taught

from distilgrid.augmentation.eda.declare import EDA
from distilgrid.cli.app import app
from distilgrid.core.artefacts import read_json, verified, writing
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.plan.expand import expand
from distilgrid.plan.features_settings import Features
from distilgrid.plan.params import parse_params
from distilgrid.signals.mixed.mixing import make_schedule
from distilgrid.signals.mixed.plan import Mixup
from distilgrid.stages.features.run import project
from distilgrid.stages.table import STAGES
from distilgrid.tasks.dataset import open_dataset
from distilgrid.training.settings import Training
from distilgrid.training.training_set import TrainingSet

Values = dict[str, Any]
TRAINING = Training(epochs=1, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")
ROWS = 20


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Path:
    """Prepared data, a teacher, two copies of each row with words swapped, and features of all these."""
    folder = tmp_path_factory.mktemp("work")
    prepare_taught(folder, csv=reviews_csv, model=tiny_model, training=TRAINING)
    given: dict[str, Any] = {"fraction": 1.0, "max_length": 32, "teacher": None}
    swapped = EDA(copies=2, synonym=0, insert=0, delete=0, swap=0.5)
    labels = {"augmentation": "swapped"}
    augment(data=folder / "data", settings=swapped, out=folder / "swapped", labels=labels, **given)
    make(folder, folder / "features")
    return folder


def make(work: Path, out: Path, **changed: Any) -> dict[str, int]:
    given: dict[str, Any] = {"settings": Features(rows=ROWS), "mixup": Mixup(), "training": TRAINING}
    given |= {"teacher": work / "teacher", "augmented": [work / "swapped"]}
    given |= {"max_length": 32, "fraction": 1.0}
    return features(data=work / "data", out=out, labels={}, **given | changed)


def points(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "features.parquet")


def test_there_are_as_many_points_of_each_kind_as_wanted(work: Path) -> None:
    frame, facts = points(work / "features"), read_json(work / "features" / "features.json")
    assert list(frame.columns) == ["x", "y", "kind", "label", "weight"]
    assert facts["counts"] == {"original": ROWS, "mixed": ROWS, "swapped": ROWS}
    assert frame["kind"].value_counts().to_dict() == facts["counts"]
    assert {*verified(work / "features", stage="features")["files"], "run.json"} == set(STAGES["features"].files)
    first, second = facts["explained_variance"]
    assert 0 < second <= first and first + second <= 1
    assert np.isfinite(frame[["x", "y"]].to_numpy()).all()


def test_mixed_samples_carry_their_weight_and_the_label_of_the_nearer_row(work: Path) -> None:
    rows = TrainingSet(open_dataset(work / "data"), ROWS / 96)
    mixtures = make_schedule(rows.text_lengths, Mixup(), TRAINING).mixtures
    frame = points(work / "features").query("kind == 'mixed'")
    assert frame["weight"].to_numpy() == pytest.approx(mixtures.weight[:ROWS])
    labels = rows.chosen["label"].to_numpy()
    nearer = [i if w >= 0.5 else j for i, j, w in zip(mixtures.first, mixtures.second, mixtures.weight, strict=True)]
    assert frame["label"].tolist() == labels[nearer[:ROWS]].tolist()
    assert set(points(work / "features").query("kind != 'mixed'")["weight"]) == {1.0}


def test_points_are_the_teachers_last_states_projected(work: Path, tmp_path: Path) -> None:
    make(work, tmp_path / "plain", augmented=[], mixup=Mixup(beta=1e-4))
    frame = points(tmp_path / "plain")
    rows = TrainingSet(open_dataset(work / "data"), ROWS / 96)
    model, encodings = load_model(work / "teacher"), rows.encodings(load_tokenizer(work / "teacher"), max_length=32)
    with torch.no_grad():
        states = model(**encodings.batch(range(ROWS)), output_hidden_states=True).hidden_states[-1][:, 0]
    # With such a beta, almost every mixed sample is one of its rows.
    pure = frame.query("kind == 'mixed' and (weight < 1e-6 or weight > 1 - 1e-6)")
    assert len(pure) == ROWS
    mixtures = make_schedule(rows.text_lengths, Mixup(beta=1e-4), TRAINING).mixtures
    nearer = np.where(mixtures.weight[:ROWS] >= 0.5, mixtures.first[:ROWS], mixtures.second[:ROWS])
    original = frame.query("kind == 'original'")[["x", "y"]].to_numpy()
    assert pure[["x", "y"]].to_numpy() == pytest.approx(original[nearer], abs=1e-4)
    expected, _ = project(np.concatenate([states.numpy(), states.numpy()[nearer]]), "pca")
    assert original == pytest.approx(expected[:ROWS], abs=1e-3)


def test_equal_inputs_give_equal_bytes(work: Path, tmp_path: Path) -> None:
    make(work, tmp_path / "again")
    assert verified(tmp_path / "again")["files"] == verified(work / "features")["files"]


def test_a_small_share_bounds_the_rows(work: Path, tmp_path: Path) -> None:
    assert make(work, tmp_path / "few", fraction=0.125)["original"] == 12
    assert make(work, tmp_path / "all", settings=Features(rows=5000), augmented=[]) == {"original": 96, "mixed": 96}


def test_augmented_rows_of_other_rows_are_left_out(work: Path, tmp_path: Path) -> None:
    run, rows = read_json(work / "swapped" / "run.json"), pd.read_parquet(work / "swapped" / "train.parquet")
    chosen = TrainingSet(open_dataset(work / "data"), ROWS / 96).chosen["example_id"]
    with writing(tmp_path / "others", recipe=run["recipe"], labels=run["labels"]) as folder:
        other = [parents[0] not in set(chosen) for parents in rows["parents"]]
        rows[other].to_parquet(folder / "train.parquet", index=False)
    assert make(work, tmp_path / "x", augmented=[tmp_path / "others"]) == {"original": ROWS, "mixed": ROWS}


def test_tsne_is_the_same_each_time_and_takes_few_points() -> None:
    states = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    first, explained = project(states, "tsne")
    assert explained is None and first.shape == (12, 2)
    assert np.array_equal(first, project(states, "tsne")[0])


def test_equal_states_have_no_variance() -> None:
    points, explained = project(np.ones((12, 5), dtype=np.float32), "pca")
    assert explained == [0, 0] and not points.any()


def test_inputs_of_another_stage_are_refused(work: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'finetune' is wanted"):
        make(work, tmp_path / "x", teacher=work / "data")
    with pytest.raises(UserError, match="'augment' is wanted"):
        make(work, tmp_path / "x", augmented=[work / "data"])
    with pytest.raises(UserError, match="batches of one size"):
        make(work, tmp_path / "x", training=TRAINING.model_copy(update={"batch_tokens": 100}))


# The plan -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def values(tiny_values: Values) -> Values:
    """A grid with features."""
    tiny_values["grid"] |= {"methods": ["finetune", "kd", "tmkd", "other"], "fractions": [0.5, 1.0]}
    tiny_values["grid"]["augmentations"] = ["none", "eda"]
    tiny_values["methods"]["other"] = {"objective": "mixkd", "mixup": {"beta": 1.0}}
    tiny_values["augmentations"] = {"eda": {"kind": "eda", "synonym": 0, "insert": 0}}
    return tiny_values | {"report": {"features": {"rows": 50}}}


def test_features_are_planned_of_the_largest_teacher_and_share(values: Values) -> None:
    values["teachers"]["tiny"]["rows"] = "students"
    plan = expand(parse_params(values, origin="test"))
    (found,) = plan.features
    assert found.folder.startswith("features/reviews/tiny/features-")
    assert found.inputs["teacher-dir"] == plan.teachers[-1] and plan.teachers[-1].labels["fraction"] == 1.0
    augmented = found.inputs["augmented"]
    assert isinstance(augmented, list) and [rows.labels["fraction"] for rows in augmented] == [1.0]
    assert (found.options["method"], found.options["fraction"]) == ("tmkd", "1.0")
    assert found.folder in plan.artefacts


def test_the_printed_options_name_every_augmentation(values: Values) -> None:
    values["augmentations"]["more"] = {"kind": "eda", "synonym": 0, "insert": 0, "copies": 2}
    values["grid"]["augmentations"] = ["none", "eda", "more"]
    (found,) = expand(parse_params(values, origin="test")).features
    command: Any = typer.main.get_command(app)
    words = shlex.split(found.arguments("results"))
    options = command.commands["features"].make_context("features", words).params
    augmented = found.inputs["augmented"]
    assert isinstance(augmented, list) and len(augmented) == 2
    assert options["augmented"] == [Path("results", rows.folder) for rows in augmented]


def changed(values: Values, **features: Any) -> bool:
    """Whether the key of the features changes with their settings."""
    (before,) = expand(parse_params(values, origin="test")).features
    (after,) = expand(parse_params(values | {"report": {"features": {"rows": 50} | features}}, origin="test")).features
    return before.key != after.key


def test_the_key_depends_on_what_is_shown(values: Values) -> None:
    assert changed(values, rows=60)
    assert changed(values, projection="tsne")
    assert changed(values, method="other")
    assert not changed(values, method="tmkd"), "the default, spelt out"


def test_features_are_off_unless_asked_for(values: Values) -> None:
    plain = values | {"report": {}}
    assert expand(parse_params(plain, origin="test")).features == []
    with_them = expand(parse_params(values, origin="test"))
    assert [a.key for a in expand(parse_params(plain, origin="test")).students] == [a.key for a in with_them.students]


@pytest.mark.parametrize(
    ("methods", "method", "said"),
    [
        (["finetune", "kd"], None, "report.features: no method of the grid mixes samples"),
        (["tmkd"], "tmdk", "'tmdk' names no method of the grid that mixes samples; did you mean 'tmkd'?"),
        (["kd", "tmkd"], "kd", "'kd' names no method of the grid that mixes samples"),
        (["nothing"], None, "no method of the grid mixes samples"),
    ],
)
def test_a_method_that_mixes_is_wanted(values: Values, methods: list[str], method: str | None, said: str) -> None:
    values["methods"]["nothing"] = {"objective": "mixkd", "alpha_sm": 0, "alpha_tmkd": 0}
    values["grid"]["methods"] = methods
    values["report"]["features"]["method"] = method
    with pytest.raises(UserError) as caught:
        parse_params(values, origin="test")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_an_augmentation_must_not_be_named_as_other_rows(values: Values) -> None:
    values["augmentations"]["mixed"] = values["augmentations"]["eda"]
    values["grid"]["augmentations"] = ["mixed"]
    with pytest.raises(UserError, match=r"'mixed' names other rows.*choose another name"):
        expand(parse_params(values, origin="test"))
