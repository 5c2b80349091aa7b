"""Jobs side by side take different GPUs, share them as far as they may, wait for one, and leave none behind."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distilgrid.core import gpus

JOB = """
import sys
from pathlib import Path
from distilgrid.core.gpus import take_gpus
print(",".join(take_gpus(count=int(sys.argv[2]), cells_per_gpu=int(sys.argv[3]), folder=Path(sys.argv[1]))), flush=True)
sys.stdin.read()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts jobs that hold what they took until they are ended."""
    running: list[subprocess.Popen[str]] = []

    def begin(visible: str, *, count: int = 1, cells: int = 1) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", JOB, str(tmp_path), str(count), str(cells)]
        environment = {"CUDA_VISIBLE_DEVICES": visible, "PYTHONPATH": ":".join(sys.path)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        running.append(subprocess.Popen(command, env=environment, text=True, **pipes))
        return running[-1]

    yield begin
    for job in running:
        job.kill()
        job.communicate()


def taken(job: "subprocess.Popen[str]") -> str:
    assert job.stdout is not None
    return job.stdout.readline().strip()


def test_jobs_side_by_side_take_different_gpus(start: Start) -> None:
    jobs = [start("0,1,5") for _ in range(3)]
    assert sorted(taken(job) for job in jobs) == ["0", "1", "5"]


def test_a_gpu_is_shared_by_as_many_as_may_and_the_emptiest_is_taken(start: Start) -> None:
    found = [taken(start("0,1", cells=2)) for _ in range(4)]
    assert sorted(found[:2]) == ["0", "1"], "no GPU gets a second job while another has none"
    assert sorted(found) == ["0", "0", "1", "1"]


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_job_waits_until_another_ends_in_whatever_way(end: str, start: Start) -> None:
    first = start("GPU-8f:a")
    assert taken(first) == "GPU-8f:a"
    second = start("GPU-8f:a")
    time.sleep(1.0)
    assert second.poll() is None
    getattr(first, end)()
    assert taken(second) == "GPU-8f:a"


def test_a_job_of_several_takes_them_all_or_none(start: Start) -> None:
    first = start("0,1,2,3", count=3)
    assert taken(first) == "0,1,2"
    start("0,1,2,3", count=2)  # waits without keeping the free one
    time.sleep(1.0)
    assert taken(start("0,1,2,3")) == "3"


def test_without_a_gpu_nothing_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for visible in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv(gpus.VISIBLE, visible)
        assert gpus.take_gpus(count=1, cells_per_gpu=1, folder=tmp_path) == []
    assert list(tmp_path.iterdir()) == []
