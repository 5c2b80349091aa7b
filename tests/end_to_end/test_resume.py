"""Training through the command line that is killed or told to stop, and started again: the same bytes in the end."""

import copy
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock, Timeout
from tests.unit.made import finetune, prepare, record
from tests.unit.processes import eventually

from distilgrid.core.artefacts import STATE, verified
from distilgrid.signals.base import ROWS
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

STUDENT, TEACHER, STEPS = 20, 12, 10  # epochs, and the steps of an epoch
OFTEN, NEVER = 0.001, 3600.0  # seconds between two saves
TIMES = {"train_seconds", "tokens_per_second", "peak_fraction", "time_split", "resumed_at", "peak_memory_mib"}
KILLS = 20


class Work:
    """A teacher and a student that are trained through the command line, from the same data each time."""

    def __init__(self, folder: Path, values: dict[str, Any], jobs: Any) -> None:
        self.folder, self.jobs, self.values = folder, jobs, values
        self.made: dict[str, Path] = {}

    def words(self, stage: str, out: Path, *, seconds: float) -> list[object]:
        """The command of a stage that saves its state that often."""
        params = self.folder / f"params-{seconds}.yaml"
        params.write_text(yaml.safe_dump(self.values | {"resources": {"checkpoint_seconds": seconds}}))
        given = {"--params": params, "--task": "reviews", "--teacher": "tiny", "--data": self.folder / "data"}
        if stage == "distill":
            given |= {"--method": "pkd", "--student": "half", "--teacher-outputs": self.folder / "outputs"}
        if stage == "record":  # the mixed samples of all epochs: 200 batches
            given |= {"--kind": "mixed-logits", "--method": "tmkd", "--student": "half"}
            given |= {"--teacher-dir": self.folder / "teacher"}
        return [stage, *(word for pair in given.items() for word in pair), "--out", out]

    def start(self, stage: str, out: Path, *, seconds: float, warm: bool = True) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] = self.jobs.start(
            *self.words(stage, out, seconds=seconds), log=log(out), warm=warm
        )
        return process

    def finish(self, stage: str, out: Path, *, seconds: float = NEVER) -> Path:
        """Run a stage to its end."""
        self.jobs.run(*self.words(stage, out, seconds=seconds), log=log(out))
        return out

    def undisturbed(self, stage: str) -> Path:
        """What a stage makes in one go, without ever saving its state."""
        if stage not in self.made:
            self.made[stage] = self.finish(stage, self.folder / f"undisturbed-{stage}")
            assert "going on" not in log(self.made[stage]).read_text()
        return self.made[stage]


@pytest.fixture(scope="module")
def work(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Path,
    reviews_csv: Path,
    tiny_defaults: dict[str, Any],
    jobs: Any,
) -> Work:
    folder = tmp_path_factory.mktemp("resume")
    values = copy.deepcopy(tiny_defaults)
    values["training"]["epochs"], values["teachers"]["tiny"]["training"]["epochs"] = STUDENT, TEACHER
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    data, teacher, outputs = (folder / name for name in ("data", "teacher", "outputs"))
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=160, max_dev_rows=32), out=data)
    brief = Training(**values["training"] | {"epochs": 1})
    finetune(data=data, source=f"path:{tiny_model}", training=brief, seed=0, out=teacher, labels={})
    record(data=data, teacher=teacher, signal=ROWS["cls-states"], max_length=32, out=outputs, labels={})
    return Work(folder, values, jobs)


def log(out: Path) -> Path:
    return out.with_suffix(".log")


def newest(out: Path) -> int:
    """The step of the newest state; 0 if there is none."""
    return max((int(path.name.split("-")[1]) for path in out.glob(f"{STATE}/step-*.safetensors")), default=0)


def resumed(out: Path) -> list[int]:
    """The steps that the runs of an artefact went on after."""
    return [int(step) for step in re.findall(r"going on after step (\d+)", log(out).read_text())]


def wait_until(happened: Callable[[], object], *, pause: float = 0.003) -> None:
    assert eventually(happened, seconds=120, pause=pause), "it never happened"


def unlocked(out: Path) -> bool:
    """Whether no process makes an artefact any more."""
    try:
        with FileLock(out / ".lock").acquire(blocking=False):
            return True
    except Timeout:
        return False


def kill(process: "subprocess.Popen[bytes]", out: Path) -> bool:
    """Kill a job outright; returns whether it was still at work."""
    process.kill()
    code = process.wait()
    wait_until(lambda: unlocked(out))  # a forked job ends a moment after the process that stands for it
    return code == -signal.SIGKILL


def content(out: Path) -> dict[str, Any]:
    """All that an artefact holds, but for what tells of time."""
    run, metrics = verified(out), json.loads((out / "metrics.json").read_text())
    assert {path.name for path in out.iterdir()} == {*run["files"], "run.json", ".lock"}
    exact = {name: (out / name).read_bytes() for name in run["files"] if name != "metrics.json"}
    assert {"model.safetensors", "history.parquet", "predictions.parquet", "tokenizer.json"} <= exact.keys()
    return exact | {"metrics": {name: value for name, value in metrics.items() if name not in TIMES}}


def same(first: Path, second: Path) -> bool:
    one, two = content(first), content(second)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    return True


def test_a_job_that_is_killed_goes_on_to_the_same_bytes(work: Work, tmp_path: Path) -> None:
    out, chooser = tmp_path / "student", random.Random(1)
    for _ in range(3):
        process, stop = work.start("distill", out, seconds=OFTEN), newest(out) + chooser.randint(10, 40)
        wait_until(lambda: newest(out) >= stop)  # noqa: B023 - called at once
        time.sleep(chooser.uniform(0, 0.02))
        assert kill(process, out), log(out).read_text()
        assert not (out / "run.json").exists()
    work.finish("distill", out, seconds=OFTEN)
    assert len(resumed(out)) == 3
    assert resumed(out) == sorted(resumed(out)) and resumed(out)[0] >= 10
    assert same(out, work.undisturbed("distill"))


def test_a_recording_that_is_killed_goes_on_to_the_same_bytes(work: Work, tmp_path: Path) -> None:
    out, chooser = tmp_path / "recording", random.Random(3)
    for _ in range(2):
        process, stop = work.start("record", out, seconds=OFTEN), newest(out) + chooser.randint(10, 60)
        wait_until(lambda: newest(out) >= stop)  # noqa: B023 - called at once
        time.sleep(chooser.uniform(0, 0.02))
        assert kill(process, out), log(out).read_text()
        assert not (out / "run.json").exists()
    work.finish("record", out, seconds=OFTEN)
    assert len(resumed(out)) == 2 and 10 <= resumed(out)[0] < resumed(out)[1] < STUDENT * STEPS
    assert {path.name for path in out.iterdir()} == {*verified(out)["files"], "run.json", ".lock"}
    undisturbed = work.undisturbed("record")
    for name in ("train.safetensors", "manifest.json"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_job_that_is_told_to_stop_saves_its_state(work: Work, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "teacher"
    process = work.start("finetune", out, seconds=NEVER)
    wait_until(lambda: "dev accuracy" in log(out).read_text())
    assert not (out / STATE).exists()
    process.send_signal(number)
    assert process.wait(timeout=5) == os.EX_TEMPFAIL
    assert {path.name for path in out.iterdir()} == {".lock", STATE}
    assert unlocked(out)
    stopped = newest(out)
    assert STEPS <= stopped < STEPS * TEACHER
    work.finish("finetune", out)
    assert resumed(out) == [stopped]
    assert same(out, work.undisturbed("finetune"))


@pytest.mark.slow
def test_jobs_that_are_killed_at_random_moments_go_on_to_the_same_bytes(work: Work, tmp_path: Path) -> None:
    chooser, torn = random.Random(2), 0
    for attempt in range(KILLS):
        out = tmp_path / f"student-{attempt}"
        scratch, stop = out / STATE / "writing.tmp", chooser.randint(1, STEPS * STUDENT * 3 // 4)
        process = work.start("distill", out, seconds=OFTEN, warm=False)  # so that the job itself is killed
        wait_until(lambda: newest(out) >= stop)  # noqa: B023 - called at once
        if attempt % 2:
            time.sleep(chooser.uniform(0, 0.05))
        else:  # a save takes a small part of the time: aim at one
            wait_until(scratch.exists, pause=0)
        assert kill(process, out)
        torn += scratch.exists()
        work.finish("distill", out, seconds=OFTEN)
        assert resumed(out) and resumed(out)[0] >= stop
        assert same(out, work.undisturbed("distill")), attempt
    assert torn > 0, "of ten kills aimed at a save, some hit it"


@pytest.mark.slow
def test_a_workflow_makes_a_killed_job_again_from_its_state(project: Any) -> None:
    values = copy.deepcopy(project.values)
    values["teachers"]["tiny"]["training"]["epochs"] = 30
    project.write(values | {"resources": {"checkpoint_seconds": OFTEN}})
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--", "teachers"]
    workflow = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: [*project.folder.glob(f"results/teachers/**/{STATE}/step-*")])
    os.kill(job_of(project.folder, "finetune"), signal.SIGKILL)
    assert workflow.wait(timeout=60) != 0
    assert list(project.folder.glob(f"results/teachers/**/{STATE}/step-*"))
    project.snakemake("--", "teachers")
    (said,) = project.folder.glob("results/logs/teachers/**/*.log")
    assert re.search(r"going on after step [1-9]", said.read_text())
    assert not list(project.folder.glob(f"results/**/{STATE}"))


def job_of(folder: Path, stage: str) -> int:
    """The process of a workflow's job."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if words[1:4] == [b"-m", b"distilgrid", stage.encode()] and (path / "cwd").readlink() == folder:
                return int(path.name)
        except OSError:
            continue
    raise AssertionError(f"no job {stage}")
