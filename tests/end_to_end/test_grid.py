"""The tiny grid from a CSV file to its report, and what a change makes anew."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from distilgrid.stages.record.declare import STAGE as RECORD


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_grid_ends_in_a_report(finished: Any) -> None:
    (folder,) = (finished.folder / "results/reports").iterdir()
    page = (folder / "report.html").read_text()
    assert "<svg" in page
    assert 'src="http' not in page
    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert [row["method"] for row in rows] == ["teacher", "finetune", "kd", "pkd"]
    assert (folder / "table.tex").read_text().count(r"\\") >= 4


def test_snakemakes_own_report_is_one_file_that_opens_offline(finished: Any, tmp_path: Path) -> None:
    finished.run(sys.executable, "-m", "snakemake", "--report", str(tmp_path / "workflow.html"))
    page = (tmp_path / "workflow.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=.?https?:", page)
    assert all(f'"{category}": ' in page for category in ("Report", "Tables", "Claims"))
    assert "leads to the folder, the log and the" in page, "a caption"


def test_students_cost_no_teacher_forwards(finished: Any) -> None:
    cells = [read(path) for path in finished.folder.glob("results/students/**/metrics.json")]
    assert len(cells) == 6
    assert {cell["teacher_forwards"] for cell in cells} == {0}


def test_every_export_is_the_same_model(finished: Any) -> None:
    found = [read(path) for path in finished.folder.glob("results/exports/**/parity.json")]
    assert len(found) == 8
    assert all(parity["accepted"] for parity in found)
    assert max(p["max_abs_difference"] for p in found if p["runtime"] == "onnxruntime-fp32") < 1e-4


def test_a_second_run_has_nothing_to_do(finished: Any) -> None:
    done = finished.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.parametrize("change", ["comment", "log level", "time stamps"])
def test_what_decides_nothing_recomputes_nothing(changeable: Any, change: str) -> None:
    params = changeable.folder / "params.yaml"
    if change == "comment":
        params.write_text("# a comment\n" + params.read_text())
    elif change == "log level":
        changeable.write(changeable.values | {"resources": {"log_level": "debug"}})
    else:
        for path in changeable.folder.glob("results/data/**/*.parquet"):
            path.touch()
    assert changeable.jobs() == {}


def test_a_changed_method_recomputes_its_cells_and_keeps_the_old_ones(changeable: Any) -> None:
    before = set(changeable.folder.glob("results/students/**/run.json"))
    methods = changeable.values["methods"] | {"kd": {"objective": "kd", "alpha": 0.5}}
    changeable.write(changeable.values | {"methods": methods})
    assert changeable.jobs() == {"distill": 2, "export": 2, "write_report": 1, "track": 1}
    listing = changeable.run("python", "-m", "distilgrid", "plan").stdout
    assert listing.count("method.alpha: 0.7 -> 0.5") == 2
    changeable.snakemake("--", "students")
    after = set(changeable.folder.glob("results/students/**/run.json"))
    assert before < after
    assert len(after - before) == 2


def test_changed_training_recomputes_all_models_but_no_data(changeable: Any) -> None:
    changeable.write(changeable.values | {"training": changeable.values["training"] | {"epochs": 2}})
    jobs = changeable.jobs()
    assert "prepare" not in jobs
    assert jobs["distill"] == 6


def test_a_bumped_version_recomputes_the_stage_and_what_follows(changeable: Any) -> None:
    recipes = Path(__file__).parents[2] / "src"
    package = changeable.folder / "bumped"
    changeable.run("cp", "-r", str(recipes), str(package))
    changeable.run("cp", "-r", str(recipes.parent / "devices"), "devices")  # which a checkout finds next to src
    source = package / "distilgrid/stages/record/declare.py"
    source.write_text(source.read_text().replace(f"version={RECORD.version},", f"version={RECORD.version + 1},"))
    environment = changeable.environment() | {"PYTHONPATH": str(package)}
    changeable.environment = lambda: environment
    assert changeable.jobs() == {"record": 2, "distill": 4, "export": 4, "write_report": 1, "track": 1}


def test_the_same_command_makes_good_what_was_damaged(changeable: Any) -> None:
    """A folder is gone, a file that no rule names is gone, a file was edited by hand, and a record is torn."""
    results = changeable.folder / "results"
    shutil.rmtree(results / "data")
    next(results.glob("exports/students/**/onnxruntime-fp32-*/tokenizer.json")).unlink()
    next(results.glob("exports/teachers/**/onnxruntime-fp32-*/run.json")).write_text("{")
    (benchmark,) = results.glob("benchmarks/**/benchmark.json")
    benchmark.write_text(benchmark.read_text().replace('"p50_ms": ', '"p50_ms": 1'))
    command = (sys.executable, "-m", "distilgrid")
    assert changeable.run(*command, "plan", "--check", check=False).stdout.startswith("left: 5 artefacts")
    changeable.snakemake()
    assert "nothing to be done" in changeable.run(*command, "plan", "--check").stdout
    assert changeable.jobs() == {}
    changeable.run(*command, "verify", "--cells", "0")


def test_gc_keeps_what_a_grid_names(changeable: Any) -> None:
    methods = changeable.values["methods"] | {"kd": {"objective": "kd", "alpha": 0.5}}
    changeable.write(changeable.values | {"methods": methods})
    old = set(changeable.folder.glob("results/students/*/*/kd/**/run.json"))
    dry = changeable.run("python", "-m", "distilgrid", "gc").stdout
    assert dry.count("would delete") == 6, "two cells, two exports, the report, its summary in tracking"
    assert all(path.is_file() for path in old)
    changeable.run("python", "-m", "distilgrid", "gc", "--delete")
    assert not any(path.exists() for path in old)
    assert len(list(changeable.folder.glob("results/students/**/run.json"))) == 4
