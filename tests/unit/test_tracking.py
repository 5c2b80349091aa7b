"""Finished cells in MLflow: what is shown, and what a second call changes."""

import hashlib
import importlib.util
import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tests.unit.tracked import KD, Store

from distilgrid.core.artefacts import read_json
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import parse_params
from distilgrid.tasks.kind import find_metric
from distilgrid.tracking import default_uri, measured, track
from distilgrid.tracking.datasets import DataSets

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs the extra 'mlflow'"),
]


def test_every_finished_cell_is_one_run_under_the_run_of_its_grid(shown: Store) -> None:
    runs = shown.runs()
    grid = runs.pop("fabricated")
    assert len(runs) == 18
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {grid.info.run_id}
    assert {run.data.tags["cell"] for run in runs.values()} == {
        model.key for model in [*shown.plan.teachers, *shown.plan.students]
    }
    assert {run.info.status for run in [grid, *runs.values()]} == {"FINISHED"}
    assert "reviews / teacher / big / seed 0" in runs


def test_a_run_shows_the_recipe_the_files_and_the_curves_of_its_cell(shown: Store) -> None:
    run, folder = (
        shown.runs()[KD],
        shown.folder(shown.plan.students, task="reviews", method="kd", student="three", seed=0),
    )
    metrics, made = read_json(folder / "metrics.json"), read_json(folder / "run.json")
    params, tags, values = run.data.params, run.data.tags, run.data.metrics
    assert (params["method.alpha"], params["training.learning_rate"], params["student.layers"]) == ("0.7", "5e-05", "3")
    assert (params["method"], params["model.precision"], params["seed"]) == ("kd", "fp32", "0")
    axes = {"task": "reviews", "teacher": "big", "method": "kd", "student": "three", "augmentation": "none"}
    assert axes.items() <= tags.items()
    assert (tags["fraction"], tags["recipe"], tags["role"]) == ("1", "kd / three", "student")
    assert all((shown.results / tags[name]).is_dir() for name in ("folder", "benchmark", "export.onnxruntime-int8"))
    assert values["score"] == metrics["score"] == values["validation/accuracy"]
    assert values["validation/f1"] == metrics["validation"]["validation"]["f1"]
    assert values["dev_best/accuracy"] == metrics["dev"]["accuracy"]
    assert values["train_seconds"] == metrics["train_seconds"]
    assert run.info.end_time - run.info.start_time == round(made["seconds"] * 1000)
    loss = shown.client.get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in loss] == [2, 4, 6, 8, 10, 12]
    assert [point.timestamp for point in loss] == sorted({point.timestamp for point in loss})
    assert [point.step for point in shown.client.get_metric_history(run.info.run_id, "dev/accuracy")] == [4, 8, 12]
    assert not [name for name in values if "learning_rate" in name]


def test_a_run_names_the_data_that_it_used(shown: Store) -> None:
    runs, folder = shown.runs(), shown.results / shown.plan.data["topics"].folder
    found = runs["topics / kd / two / seed 1"].inputs.dataset_inputs
    used = {tag.value: each for each in found for tag in each.tags if tag.key == "mlflow.data.context"}
    assert used.keys() == {"train", "dev", "validation", "validation_shifted"}
    for split, each in used.items():
        digest = hashlib.sha256((folder / f"{split}.parquet").read_bytes()).hexdigest()
        assert (each.dataset.name, each.dataset.digest) == ("topics", digest[:12])
        source, profile = json.loads(each.dataset.source), json.loads(each.dataset.profile)
        assert (shown.results / source["uri"]).samefile(folder / f"{split}.parquet")
        assert source["from"] == shown.plan.params.tasks["topics"].source
        assert profile["num_rows"] == len(pd.read_parquet(folder / f"{split}.parquet"))
        assert profile["repeated"] == 0 and profile["longest"]["words"] > 0
        assert {column["name"] for column in json.loads(each.dataset.schema)["mlflow_colspec"]} >= {"text_a", "label"}
    assert not runs["fabricated"].inputs.dataset_inputs
    with sqlite3.connect(shown.results / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM datasets").fetchone() == (7,), "each split once, not per run"


def test_methods_share_their_metric_names_and_are_measured_against_their_teacher(shown: Store) -> None:
    runs = shown.runs()
    teacher = runs["reviews / teacher / big / seed 0"].data.metrics
    assert set(runs[KD].data.metrics) == set(runs["reviews / finetune / two / seed 0"].data.metrics) == set(teacher)
    metrics = runs[KD].data.metrics
    assert metrics["score_vs_teacher"] == pytest.approx(metrics["score"] / teacher["score"], abs=1e-4)
    assert metrics["score_int8"] == pytest.approx(metrics["score"] - 0.004)
    assert metrics["latency_ms/onnxruntime-int8-b1-len128"] == pytest.approx(0.4 + 0.8 * 3)
    assert metrics["speedup/onnxruntime-int8-b1-len128"] == pytest.approx((0.4 + 0.8 * 6) / (0.4 + 0.8 * 3), abs=0.01)
    assert teacher["speedup/onnxruntime-int8-b1-len128"] == 1
    later_seed = runs["reviews / kd / three / seed 1"].data.metrics
    assert "score_int8" not in later_seed
    assert later_seed["latency_ms/torch-eager-fp32-b1-len32"] == metrics["latency_ms/torch-eager-fp32-b1-len32"]


def test_a_score_to_keep_low_is_no_share_of_the_teachers(
    fabricated: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, results = fabricated
    student = plan.students[0]
    own = read_json(results / student.folder / "metrics.json")
    assert "score_vs_teacher" in measured.Measured(plan, results).of(student, own)[0]
    monkeypatch.setattr(measured, "find_metric", lambda name: replace(find_metric(name), higher_is_better=False))
    assert "score_vs_teacher" not in measured.Measured(plan, results).of(student, own)[0]


def test_the_grid_shows_the_best_recipe_of_each_task(shown: Store) -> None:
    runs = shown.runs()
    grid = runs.pop("fabricated").data
    scores: dict[str, list[float]] = {}
    dev: dict[str, list[float]] = {}
    for run in runs.values():
        if (run.data.tags["task"], run.data.tags["role"]) == ("topics", "student"):
            scores.setdefault(run.data.tags["recipe"], []).append(run.data.metrics["score"])
            dev.setdefault(run.data.tags["recipe"], []).append(run.data.metrics["dev_best/accuracy"])
    best = max(dev, key=lambda recipe: sum(dev[recipe]))
    assert grid.tags["best_score.topics"] == best
    assert grid.metrics["best_score/topics"] == pytest.approx(sum(scores[best]) / 2)
    assert grid.metrics["teacher_score/topics"] == runs["topics / teacher / big / seed 0"].data.metrics["score"]


def test_a_second_call_changes_nothing_at_all(store: Store) -> None:
    before = store.dump()
    assert store.track() == {"grid": "fabricated", "runs": 18, "created": 0, "updated": 0, "unchanged": 18}
    assert store.dump() == before


def test_a_cell_appears_when_it_is_finished(untracked: Store) -> None:
    folder = untracked.folder(untracked.plan.students, task="reviews", method="kd", student="three", seed=0)
    (folder / "run.json").rename(folder / "hidden")
    assert untracked.track()["runs"] == 17
    grid = untracked.runs()["fabricated"]
    assert KD not in untracked.runs()
    (folder / "hidden").rename(folder / "run.json")
    assert untracked.track() == {"grid": "fabricated", "runs": 18, "created": 1, "updated": 0, "unchanged": 17}
    assert untracked.runs()["fabricated"].info.run_id == grid.info.run_id
    assert untracked.runs()["fabricated"].data.metrics["cells"] == 18


def test_nothing_finished_is_nothing_to_show(fabricated: tuple[Plan, Path], tmp_path: Path) -> None:
    assert track(plan=fabricated[0], results=tmp_path, uri=default_uri(tmp_path))["runs"] == 0
    assert not list(tmp_path.iterdir())


def test_a_late_benchmark_and_a_new_measurement_write_their_runs_again(untracked: Store) -> None:
    folder = untracked.folder(untracked.plan.of("benchmark"), task="reviews")
    (folder / "run.json").rename(folder / "hidden")
    untracked.track()
    first = untracked.runs()
    assert "benchmark" not in first[KD].data.tags
    (folder / "hidden").rename(folder / "run.json")
    assert untracked.track() == {"grid": "fabricated", "runs": 18, "created": 0, "updated": 9, "unchanged": 9}
    export = untracked.folder(
        untracked.plan.of("export"), task="reviews", method="kd", student="three", runtime="onnxruntime-int8"
    )
    untracked.change(export / "parity.json", score=0.5)
    assert untracked.track()["updated"] == 1
    second = untracked.runs()
    same = {name for name, run in first.items() if run.info.run_id == second[name].info.run_id}
    assert first.keys() == second.keys() and same == {"fabricated", *(n for n in first if n.startswith("topics"))}
    run = second[KD]
    assert run.data.tags["benchmark"] == str(folder.relative_to(untracked.results))
    assert run.data.metrics["score_int8"] == 0.5
    assert len(untracked.client.get_metric_history(run.info.run_id, "score")) == 1
    assert len(untracked.client.get_metric_history(run.info.run_id, "train/loss")) == 6
    before = untracked.dump()
    assert untracked.track()["unchanged"] == 18
    assert untracked.dump() == before


def test_the_grid_shows_a_new_score_although_the_clock_was_set_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = store.runs()["fabricated"].info.run_id
    metrics = store.folder(store.plan.teachers, task="topics") / "metrics.json"
    monkeypatch.setattr("time.time", lambda: 1e9)
    for score in (0.75, 0.25):
        store.change(metrics, score=score)
        store.track()
        grid = store.runs()["fabricated"]
        assert (grid.info.run_id, grid.data.metrics["teacher_score/topics"]) == (top, score)
    assert store.track()["updated"] == 0


def test_runs_from_before_datasets_were_kept_gain_them(untracked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DataSets, "of", lambda *_: ())
        untracked.track()
    top = untracked.runs()["fabricated"].info.run_id
    assert untracked.track()["updated"] == 18
    second = untracked.runs()
    assert second["fabricated"].info.run_id == top
    assert len(second[KD].inputs.dataset_inputs) == 3
    assert untracked.track()["unchanged"] == 18


def test_other_data_is_another_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, of = store.runs()[KD], DataSets.of
    monkeypatch.setattr(DataSets, "of", lambda *given: tuple(replace(each, digest="other") for each in of(*given)[:1]))
    assert store.track()["updated"] == 18
    second = store.runs()[KD]
    assert second.info.run_id != first.info.run_id
    assert [each.dataset.digest for each in second.inputs.dataset_inputs] == ["other"]


def test_what_a_user_wrote_into_a_run_moves_to_the_one_that_replaces_it(store: Store) -> None:
    run_id = store.runs()[KD].info.run_id
    for name, value in (("mlflow.note.content", "odd curve"), ("mine", "yes"), ("export.gone", "away")):
        store.client.set_tag(run_id, name, value)
    folder = store.folder(store.plan.students, task="reviews", method="kd", student="three", seed=0)
    store.change(folder / "run.json", started="2026-01-01T00:00:00+00:00")
    store.track()
    tags = store.runs()[KD].data.tags
    assert (tags["mlflow.note.content"], tags["mine"], "export.gone" in tags) == ("odd curve", "yes", False)
    assert store.client.get_run(run_id).info.lifecycle_stage == "deleted"


def test_a_cell_that_was_trained_again_gets_a_fresh_run(store: Store) -> None:
    first = store.runs()[KD]
    folder = store.folder(store.plan.students, task="reviews", method="kd", student="three", seed=0)
    store.change(folder / "run.json", started="2026-01-01T00:00:00+00:00")
    assert store.track()["updated"] == 1
    second = store.runs()[KD]
    assert second.info.run_id != first.info.run_id
    assert len(store.client.get_metric_history(second.info.run_id, "train/loss")) == 6


def test_cells_that_left_the_grid_stay_but_are_marked(store: Store) -> None:
    values = deep_merge(store.plan.params.model_dump(), {"grid": {"seeds": [0]}})
    smaller = expand(parse_params(values, origin="smaller"))
    assert store.track(smaller)["runs"] == 10
    now = {name for name, run in store.runs().items() if run.data.tags.get("in_plan") == "yes"}
    assert now == {name for name in store.runs() if name.endswith("seed 0")}
    assert len(store.runs()) == 19
    assert store.track()["runs"] == 18
    assert {run.data.tags.get("in_plan") for run in store.runs().values()} == {"yes", None}


def test_a_refused_export_is_not_scored(untracked: Store) -> None:
    export = untracked.folder(
        untracked.plan.of("export"), task="reviews", method="kd", student="three", runtime="onnxruntime-int8"
    )
    untracked.change(export / "parity.json", accepted=False)
    untracked.track()
    assert "score_int8" not in untracked.runs()[KD].data.metrics


def test_someone_elses_run_and_a_deleted_run_are_respected(store: Store) -> None:
    own = store.client.create_run("1", tags={"note": "mine"}, run_name="mine")
    store.client.delete_run(store.runs()[KD].info.run_id)
    assert store.track() == {"grid": "fabricated", "runs": 18, "created": 1, "updated": 0, "unchanged": 17}
    assert store.runs()["mine"].info.run_id == own.info.run_id


def test_telemetry_is_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    store.track()
    assert (os.environ["MLFLOW_DISABLE_TELEMETRY"], os.environ["DO_NOT_TRACK"]) == ("true", "true")
