"""Jobs side by side take different GPUs, share them as far as they may, wait for one, and leave none behind."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.command_line import Run, one_line

from distilgrid.core import gpus
from distilgrid.core.errors import UserError
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import expand
from distilgrid.plan.params import parse_params
from distilgrid.stages import runner
from distilgrid.stages.table import STAGES
from distilgrid.training.settings import Execution

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


# Which jobs hold any --------------------------------------------------------------------------------------------------

WORDS = {"kind": "word-replacement", "source": "path:encoder"}
AUGMENTATIONS = {
    "eda": {"kind": "eda"},
    "labelled": {"kind": "eda", "labels": "teacher"},
    "near": {"kind": "word-replacement"},  # a fine-tuned teacher has no masked language model's head
    "never": WORDS | {"masked_lm": "never"},
    "guessed": WORDS,
}
ON_GPU = {"device": "local-cuda", "runtime": "torch-eager-fp32"}
SEARCH = {
    "space": "space.yaml",
    "controller": {"kind": "random"},
    "estimator": {"kind": "mini_kd", "epochs": 1},
    "reward": {"kind": "score-latency"},
    "episodes": 1,
    "candidates": 1,
}


@pytest.fixture
def held(tiny_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, int]]:
    """The number of GPUs that jobs hold, by stage, or by the value of a label among the jobs of one stage."""
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text("layers: [1, 2]\nhidden: [8]\nheads: [2]\nfeed_forward: [16, 32]\n")
    Path("encoder").mkdir()
    for name in ("config.json", "model.safetensors"):
        Path("encoder", name).write_text("{}")
    predicted = {"source": "predicted", "runtime": "torch-eager-fp32"}
    searches = {name: SEARCH | {"latency": ON_GPU if name == "timed" else predicted} for name in ("timed", "guided")}
    values = {
        "grid": {"searches": list(searches), "augmentations": list(AUGMENTATIONS)},
        "searches": searches,
        "augmentations": AUGMENTATIONS,
        "benchmark": {"devices": ["local-cuda", "local-cpu"]},
    }

    def count(stage: str | None = None, label: str = "", **resources: Any) -> dict[str, int]:
        params = parse_params(deep_merge(tiny_values, values | {"resources": resources}), origin="params.yaml")
        how = {"device": params.resources.device, "processes": params.resources.processes}
        made = [each for each in expand(params).artefacts.values() if stage in (None, each.stage)]
        named = [each.labels[label] if label else each.stage for each in made]
        return {name: STAGES[each.stage].gpus(each.place, **how) for name, each in zip(named, made, strict=True)}

    return count


def test_jobs_hold_a_gpu_where_their_models_run(held: Callable[..., dict[str, int]]) -> None:
    for device in ("auto", "cuda"):
        found = held(device=device, processes=2)
        assert {name: count for name, count in found.items() if name not in ("augment", "benchmark", "search")} == {
            "prepare": 0,
            "finetune": 2,
            "record": 1,
            "latency": 0,
            "distill": 2,
            "export": 0,
            "report": 0,
        }


def test_rows_that_no_model_makes_or_labels_need_no_gpu(held: Callable[..., dict[str, int]]) -> None:
    expected = {"eda": 0, "labelled": 1, "near": 0, "never": 0, "guessed": 1}
    assert held("augment", "augmentation", device="cuda") == expected


def test_what_is_measured_on_a_gpu_holds_one_whatever_is_asked(held: Callable[..., dict[str, int]]) -> None:
    assert held("benchmark", "device", device="cpu") == {"local-cuda": 1, "local-cpu": 0}
    assert held("search", "search", device="cpu") == {"timed": 1, "guided": 0}


def test_a_search_after_its_candidates_needs_no_gpu(held: Callable[..., dict[str, int]]) -> None:
    assert held("search", "search", candidate_jobs=True) == {"timed": 1, "guided": 0}
    assert held("candidate", "search", candidate_jobs=True) == {"timed": 1, "guided": 1}
    assert held("search", "search") == {"timed": 1, "guided": 1}


def test_a_job_takes_what_it_holds_and_others_compute_on_the_cpu(
    tmp_path: Path, tiny_params_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    devices: list[str] = []

    def make(*_: Any, execution: Execution, **__: Any) -> None:
        devices.append(execution.device)
        raise UserError("seen")

    monkeypatch.setattr(runner, "take_gpus", lambda *, count, **_: taken.append(count))
    monkeypatch.setattr(runner, "make", make)
    given = ("--data", tmp_path, "--out", tmp_path / "out", "--params", tiny_params_file)
    assert one_line(run("finetune", "--task", "reviews", "--teacher", "tiny", *given)) == "distilgrid: seen\n"
    assert one_line(run("export", "--runtime", "onnxruntime-fp32", "--model", tmp_path, *given)) == "distilgrid: seen\n"
    assert (taken, devices) == ([1], ["auto", "cpu"])
