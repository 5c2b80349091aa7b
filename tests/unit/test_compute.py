"""What artefacts cost, as `run.json` records it and reports show it."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilgrid.core import cost, energy
from distilgrid.core.artefacts import read_json, writing
from distilgrid.reporting.tables import compute_json, compute_table, spending


def run(stage: str, *, seconds: float = 10.0, **cost: Any) -> dict[str, Any]:
    known = {"cpu_seconds": 15.0, "threads": 2, "peak_memory_mib": 300.0, "energy_j": {}} | cost
    shared = {"machine": {"cpu": "x", "flags": ["avx2"]}, "versions": {"torch": "1"}}
    return {"stage": stage, "seconds": seconds, **shared, **({"cost": known} if cost != {"none": True} else {})}


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds  # of this thread: others of the process may be busy, too
    while time.thread_time() < end:
        pass


def made(folder: Path, work: Callable[[], None]) -> dict[str, Any]:
    with writing(folder, recipe={"stage": "prepare"}, labels={}):
        work()
    values: dict[str, Any] = read_json(folder / "run.json")
    return values


def test_an_artefact_tells_its_processor_time_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv(cost.JOB, raising=False)
    busy, idle = made(tmp_path / "busy", lambda: burn(0.3)), made(tmp_path / "idle", lambda: time.sleep(0.3))
    assert busy["cost"]["cpu_seconds"] >= 0.29 > idle["cost"]["cpu_seconds"]
    assert busy["seconds"] >= 0.29 and idle["seconds"] >= 0.29
    assert busy["cost"]["threads"] == 3
    assert busy["cost"]["peak_memory_mib"] > 10
    assert "slurm_job" not in busy["cost"]


def test_the_job_of_the_batch_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cost.JOB, "4711")
    assert made(tmp_path / "a", lambda: None)["cost"]["slurm_job"] == "4711"


def test_a_job_has_its_share_of_the_processors_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("262143328850")
    (zone / "energy_uj").write_text("1000000")
    stat, ticks = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(energy, "POWERCAP", zone.parent)
    monkeypatch.setattr(cost, "STAT", stat)
    stat.write_text(f"cpu {100 * ticks} 0 0 500 0 0 0 0 0 0\n")
    own = iter((10.0, 14.0))
    monkeypatch.setattr(cost, "_cpu_seconds", lambda: next(own))

    def work() -> None:
        (zone / "energy_uj").write_text("61000000")  # 60 J
        stat.write_text(f"cpu {106 * ticks} 0 {2 * ticks} 900 0 0 0 0 0 0\n")  # 8 s of work, 4 of them ours

    assert made(tmp_path / "a", work)["cost"]["energy_j"] == {"cpu": pytest.approx(30.0)}


def test_only_packages_count_towards_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"0": "package-0", "1": "psys", "12": "package-12", "0:0": "core", "0:1": "dram"}
    for number, name in names.items():
        zone = tmp_path / f"intel-rapl:{number}"
        zone.mkdir()
        for file, text in (("name", f"{name}\n"), ("max_energy_range_uj", "9000000"), ("energy_uj", "1000000")):
            (zone / file).write_text(text)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    counter = energy.energy_counter("cpu")
    assert counter is not None and counter() == 0
    for number in names:
        (tmp_path / f"intel-rapl:{number}" / "energy_uj").write_text("3000000")
    assert counter() == pytest.approx(4.0)  # 2 J of each package
    (tmp_path / "intel-rapl:12" / "energy_uj").write_text("2000000")  # it went over its range
    assert counter() == pytest.approx(4.0 + 8.0)


def test_a_whole_board_alone_is_no_counter_of_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    for file, text in (("name", "psys\n"), ("max_energy_range_uj", "9"), ("energy_uj", "1")):
        (tmp_path / "intel-rapl:0" / file).write_text(text)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    assert energy.energy_counter("cpu") is None


def test_costs_are_added_up_by_stage() -> None:
    runs = [run("finetune"), run("distill", cpu_seconds=5.0, peak_memory_mib=900.0), run("distill", seconds=30.0)]
    finetune, distill, everything = spending(runs)
    assert (finetune["name"], finetune["used"], finetune["energy_j"]) == ("finetune", 15.0 / 20.0, None)
    assert (distill["seconds"], distill["cpu_seconds"], distill["peak_memory_mib"]) == (40.0, 20.0, 900.0)
    assert distill["used"] == pytest.approx(20.0 / 80.0)
    assert (everything["name"], everything["artefacts"], everything["cpu_seconds"]) == ("all", 3, 35.0)
    json.dumps(compute_json(runs), allow_nan=False)


def test_what_older_artefacts_did_not_record_is_not_guessed() -> None:
    table = compute_table([run("distill", none=True), run("distill", energy_j={"cpu": 7200.0, "cuda": 3600.0})])
    assert [cell.text for cell in table.rows[0]] == ["distill", "2", "20.0 s", "15.0 s", "75.0 %", "300", "3.0"]
    assert (table.rows[0][3].note, table.rows[0][6].note) == ("of 1", "of 1")
    nothing = compute_table([run("distill", none=True)]).rows[0]
    assert [cell.text for cell in nothing[3:]] == ["\u2013"] * 4
