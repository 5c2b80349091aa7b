"""What unfinished work keeps: exact values, the first writer's, through kills, full disks and damage."""

import math
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distilgrid.core.errors import UserError
from distilgrid.core.journal import NAME, Journal

FLOATS = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1.0]
WRITER = """
import sys
from pathlib import Path
from distilgrid.core.journal import Journal
kept = Journal(Path(sys.argv[1]))
for number in range(100_000):
    kept.keep(str(number), [number / 7, "x" * 5_000])
    print(number, flush=True)
"""


def test_values_come_back_exactly(tmp_path: Path) -> None:
    value: dict[str, Any] = {"floats": FLOATS, "text": "naïve \u2028 \x00", "none": None, "count": 2**60}
    assert Journal(tmp_path).keep("a", value) == value
    found = Journal(tmp_path).find("a")
    assert found == value
    assert [math.copysign(1, number) for number in found["floats"]] == [math.copysign(1, n) for n in FLOATS]


def test_the_first_value_stands(tmp_path: Path) -> None:
    kept, about = Journal(tmp_path / "known"), {"kind": "shape", "hidden": 8}
    assert kept.find(about) is None and not (tmp_path / "known").exists()
    assert kept.keep(about, {"seconds": 1.5}) == {"seconds": 1.5}
    assert Journal(tmp_path / "known").keep(dict(reversed(about.items())), {"seconds": 2.5}) == {"seconds": 1.5}
    assert Journal(tmp_path / "known").find(about) == {"seconds": 1.5}
    assert kept.find({**about, "hidden": 16}) is None
    assert [path.name for path in (tmp_path / "known").iterdir()] == [NAME]  # nothing is left over from writing


def test_no_folder_keeps_nothing() -> None:
    assert Journal(None).keep("a", 1.5) == 1.5
    assert Journal(None).find("a") is None


def contend(folder: Path, number: int) -> list[int]:
    kept = Journal(folder)
    return [kept.keep(f"key-{key}", number) for key in range(20)]


def test_processes_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.starmap(contend, [(tmp_path, number) for number in range(6)])
    assert all(values == found[0] for values in found)


def test_what_a_killed_process_kept_is_there(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    told = process.communicate()[0].split()
    kept = Journal(tmp_path)
    for number in range(5 + len(told)):
        assert kept.find(str(number)) == [number / 7, "x" * 5_000]
    assert kept.keep("one more", 1) == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database at all" * 100)
    for action in (lambda: Journal(tmp_path).find("a"), lambda: Journal(tmp_path).keep("a", 1)):
        with pytest.raises(UserError, match=rf"{NAME}: damaged \(.*\); remove it") as caught:
            action()
        assert "\n" not in str(caught.value)


def test_a_damaged_file_that_is_not_required_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_bytes(b"no database at all" * 100)
    kept = Journal(tmp_path, required=False)
    assert kept.find("a") is None
    assert "begun anew" in caplog.text
    assert kept.keep("a", 1) == 1 and Journal(tmp_path).find("a") == 1


def test_a_value_that_is_no_json_is_damage(tmp_path: Path) -> None:
    Journal(tmp_path).keep("a", 1)
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute("UPDATE findings SET found = '[1'")
    with pytest.raises(UserError, match="damaged"):
        Journal(tmp_path).find("a")


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(UserError, match=f"{NAME}: database or disk is full"):
        Journal(tmp_path).keep("a", 1)
