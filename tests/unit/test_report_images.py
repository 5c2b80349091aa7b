"""Reports and MLflow views of grids with tasks of images, alone and beside tasks of texts."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.unit.fabricate import fabricate_results, output
from tests.unit.fabricate_annealing import image_overlay
from tests.unit.made import report

from distilgrid.benchmark.report import SECTION
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import Plan
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.lines import shape
from distilgrid.reporting.tables import data_table, main_table, rejected_table
from distilgrid.reporting.wording import DASH
from distilgrid.runtimes.registry import find_runtime
from distilgrid.stages.report.page import render
from distilgrid.tracking.cells import cell_records

INT8 = "onnxruntime-int8"
MIXED = {"tasks": ["reviews", "shapes"], "teachers": ["big", "deep"], "students": ["two", "shallow"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A grid of one task of texts and one of images, with everything that only texts have."""
    folder = tmp_path_factory.mktemp("mixed")
    mixkd = {f"mixed-{beta:g}": {"objective": "mixkd", "mixup": {"beta": beta}} for beta in (0.1, 0.4, 4.0)}
    grid = MIXED | {
        "seeds": [0],
        "methods": ["finetune", "kd", *mixkd],
        "augmentations": ["none", "eda"],
        "fractions": [0.5, 1.0],
    }
    more = {"methods": mixkd, "augmentations": {"eda": {"kind": "eda"}}}
    overlay = deep_merge(image_overlay(folder, **grid), more)
    plan, results = fabricate_results(folder / "grid", overlay=overlay, losses=True)
    report(plan=plan, results=results, out=results / plan.report.folder)
    return plan, results


@pytest.fixture(scope="module")
def findings(made: tuple[Plan, Path]) -> Findings:
    return find(collect(*made))


def test_each_task_shows_its_own_shape(findings: Findings, made: tuple[Plan, Path]) -> None:
    assert shape(findings.collected, "reviews") == (1, 128)
    assert shape(findings.collected, "shapes") == (1, 1)
    captions = {task: main_table(findings, task).caption for task in findings.tasks}
    assert "batch of 1, 128 tokens" in captions["reviews"]
    assert "batch of 1 image, on" in captions["shapes"] and "token" not in captions["shapes"]
    page = output(made, "report.html")
    assert "latency in ms (batch of 1 image)" in page and "latency in ms (batch of 1, 128 tokens)" in page
    assert "tokens or images/s" in page
    frame = pd.read_csv(io.StringIO(output(made, "table.csv"))).set_index("task")
    assert set(frame.loc["shapes", "length"]) == {1} and set(frame.loc["reviews", "length"]) == {128}


def test_speeds_of_images_are_against_the_teacher_of_images(findings: Findings) -> None:
    line = next(line for line in findings.of("shapes") if not line.is_teacher)
    runtime = "onnxruntime-fp32"
    teacher = findings.teacher(line)
    assert teacher.labels["teacher"] == "deep"
    expected = teacher.speeds[runtime].latency_ms / line.speeds[runtime].latency_ms
    assert line.speeds[runtime].same == pytest.approx(expected)
    assert INT8 not in line.speeds


def test_names_tell_only_what_varies_within_the_task(findings: Findings) -> None:
    images = {line.name for line in findings.of("shapes")}
    assert images == {"deep", "shallow (50 % of rows)", "shallow (100 % of rows)"}
    assert "two (with eda, 50 % of rows)" in {line.name for line in findings.of("reviews")}


def test_quantised_exports_of_images_are_rejected_with_the_reason(findings: Findings) -> None:
    titles = [column.title for column in main_table(findings, "shapes").columns]
    assert "int8 accuracy" not in titles
    assert "int8 accuracy" in [column.title for column in main_table(findings, "reviews").columns]
    listed = rejected_table(findings)
    assert listed is not None
    assert {row[0].text for row in listed.rows} == {"shapes"}
    assert {row[-1].text for row in listed.rows} == {find_runtime("onnxruntime-int8").refuses["image"]}


def test_the_data_table_counts_many_labels_in_short(findings: Findings) -> None:
    def labels(counts: dict[str, int]) -> str:
        dataset = findings.collected.datasets["shapes"]
        split = dataset["splits"]["train"] | {"label_counts": counts}
        dataset["splits"]["train"] = split
        return next(row[4].text for row in data_table(findings).rows if row[0].text == "shapes")

    whole = findings.collected.datasets["shapes"]["splits"]["train"]["label_counts"]
    assert labels(whole) == ", ".join(f"{name} {count}" for name, count in whole.items())
    assert labels({f"label {n}": 450 for n in range(100)}) == "100 labels, 450 each"
    assert labels({f"label {n}": 4 + n % 3 for n in range(100)}) == "100 labels, 4 to 6 rows each"
    labels(whole)


def test_the_data_table_says_which_rows_of_texts_splits_share(findings: Findings) -> None:
    found = {
        "left_out": {"train": 1234, "dev": 0},
        "train": {"dev": {"equal": 3, "near": 12}, "validation": {"equal": 0, "near": 2}},
        "dev": {"validation": {"equal": 0, "near": 0}},
    }
    datasets = findings.collected.datasets
    datasets = datasets | {"reviews": datasets["reviews"] | {"alike": found}}
    table = data_table(replace(findings, collected=replace(findings.collected, datasets=datasets)))
    place = [column.title for column in table.columns].index("left out")
    shown = {(row[0].text, row[1].text): [each.text for each in row[place : place + 2]] for row in table.rows}
    assert shown["reviews", "train"] == ["1,234", DASH]
    assert shown["reviews", "dev"] == ["0", "train 3 equal, 12 near"]
    assert shown["reviews", "validation"] == [DASH, "train 2 near; dev none"]
    assert shown["shapes", "train"] == ["0", DASH]
    assert "Jaccard index of 0.7" in table.caption and table.caption in render(findings)


@pytest.mark.parametrize("measured", [True, False])
def test_a_grid_of_images_alone_is_reported(tmp_path: Path, measured: bool) -> None:
    overlay: dict[str, Any] = image_overlay(tmp_path, seeds=[0], methods=["finetune", "annealing-kd"])
    overlay["benchmark"] = {"runtimes": ["onnxruntime-fp32" if measured else INT8], "batch_sizes": [8]}
    plan, results = fabricate_results(tmp_path / "grid", overlay=overlay)
    report(plan=plan, results=results, out=results / plan.report.folder)
    page = output((plan, results), "report.html")
    assert "<h3>Annealed training</h3>" in page
    assert ("batch of 8 images" if measured else "batch of 1 image,") in page
    assert "images/s" in page and "token" not in page.partition("<details><summary>Settings")[0]


def test_records_of_images_have_their_latency_and_no_quantised_score(made: tuple[Plan, Path]) -> None:
    record = next(r for r in cell_records(*made) if r.tags["task"] == "shapes" and r.tags["role"] == "student")
    assert "latency_ms/onnxruntime-fp32-b1" in record.metrics and "speedup/onnxruntime-fp32-b1" in record.metrics
    assert "score_int8" not in record.metrics
    assert record.tags["recipe"] == "finetune / shallow / fraction 0.5"


def test_records_keep_watched_scores_apart_and_name_what_a_search_chose(tmp_path: Path) -> None:
    tuning = {"alpha": [0.5, 1.0], "temperature": [2.0]}
    overlay = {
        "grid": {"tasks": ["reviews"], "students": ["two"], "seeds": [0], "methods": ["kd", "annealing-kd"]},
        "methods": {"kd": {"objective": "kd", "tuning": tuning}, "annealing-kd": {"objective": "annealing_kd"}},
        "training": {"watch_validation": True},
    }
    records = {r.tags["method"]: r for r in cell_records(*fabricate_results(tmp_path, overlay=overlay))}
    curves = {point.name for point in records["kd"].curves}
    assert "watched/accuracy" in curves and "dev/accuracy" in curves
    assert not curves & records["kd"].metrics.keys()
    assert records["kd"].metrics["optimistic_score"] > records["kd"].metrics["score"]
    assert records["kd"].params["model.temperature"] == "2"
    assert "dev_best_stage-1/accuracy" in records["annealing-kd"].metrics
    assert "train/temperature" in {point.name for point in records["annealing-kd"].curves}


def test_what_was_not_measured_stands_in_a_table_with_the_reason(findings: Findings) -> None:
    (table,) = [table for table in SECTION.tables(findings, "shapes") if table.name.endswith("not measured")]
    words = [[cell.text for cell in row] for row in table.rows]
    reason = f"export rejected: {find_runtime(INT8).refuses['image']}"
    assert words == [[name, INT8, "anything", reason] for name in ("deep", "shallow")]
    assert not any(table.name.endswith("not measured") for table in SECTION.tables(findings, "reviews"))


def test_a_footprint_that_failed_is_named_and_a_gpus_memory_stands_where_it_is_known(
    findings: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (benchmark,) = [b for b in findings.collected.benchmarks if b.artefact.labels["task"] == "reviews"]
    entry = benchmark.values["entries"][0]
    monkeypatch.setitem(entry, "footprint", {"reason": "took more than 600 s"})
    (table,) = [table for table in SECTION.tables(findings, "reviews") if table.name.endswith("not measured")]
    assert [cell.text for cell in table.rows[0]][2:] == ["load time and memory", "took more than 600 s"]
    assert len(table.rows) == 1 and table.name == "reviews on local-cpu: not measured"
    found = {"import_seconds": 1.0, "load_seconds": 0.5, "first_run_seconds": 0.1, "loaded_mib": 90, "peak_mib": 200}
    for more, shown in (({}, False), ({"gpu_peak_mib": 312.4}, True)):
        monkeypatch.setitem(entry, "footprint", {**found, **more})
        (table,) = [table for table in SECTION.tables(findings, "reviews") if table.name.endswith("memory")]
        assert ("peak on the GPU, MiB" in [column.title for column in table.columns]) == shown
        assert (table.rows[0][-1].text == "312") == shown
