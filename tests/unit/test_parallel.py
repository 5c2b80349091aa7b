"""Data-parallel training: several processes train as one does, and none is left behind when one of them fails."""

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.unit.made import finetune, prepare
from tests.unit.processes import eventually

from distilgrid.core.artefacts import STATE, verified
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.placement import World
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
BATCH = 16
ROWS = 6 * BATCH + 1  # the last batch of an epoch is smaller than the number of processes
TRAINING = {"epochs": 12, "batch_size": BATCH, "learning_rate": 1e-3, "max_length": 32, "precision": "fp32"}
EXACT = ("model.safetensors", "history.parquet", "predictions.parquet", "tokenizer.json", "config.json")


@dataclass(frozen=True)
class Work:
    """A teacher to train: parameters, data, and where the command line runs."""

    folder: Path
    jobs: Any

    def words(self, out: Path) -> list[object]:
        given = {"--params": self.folder / "params.yaml", "--task": "reviews", "--teacher": "tiny"}
        given |= {"--data": self.folder / "data", "--out": out, "--threads": 2}
        return ["finetune", *(word for pair in given.items() for word in pair)]

    def start(self, out: Path) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] = self.jobs.start(*self.words(out), log=self.log(out))
        return process

    def run(self, out: Path) -> Path:
        self.jobs.run(*self.words(out), log=self.log(out))
        return out

    def log(self, out: Path) -> Path:
        return out.with_suffix(".log")


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model without dropout."""
    folder = tmp_path_factory.mktemp("no-dropout")
    for path in tiny_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def work(
    tmp_path_factory: pytest.TempPathFactory,
    reviews_csv: Path,
    model: Path,
    tiny_defaults: dict[str, Any],
    jobs: Any,
) -> Work:
    folder = tmp_path_factory.mktemp("work")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    data = Data(max_train_rows=ROWS, max_dev_rows=32)
    prepare(task="reviews", spec=spec, data=data, out=folder / "data")
    values = tiny_defaults | {
        "teachers": {"tiny": {"source": f"path:{model}"}},
        "training": TRAINING,
        "resources": {"processes": 2, "checkpoint_seconds": 0.001},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    return Work(folder, jobs)


@pytest.fixture(scope="module")
def alone(work: Work, model: Path) -> Path:
    """What one process makes."""
    settings = Training(**TRAINING)  # type: ignore[arg-type]
    out = work.folder / "alone"
    finetune(data=work.folder / "data", source=f"path:{model}", training=settings, seed=0, out=out, labels={})
    return out


@pytest.fixture(scope="module")
def together(work: Work) -> Path:
    """What two processes make."""
    return work.run(work.folder / "together")


def history(folder: Path, split: str) -> "pd.DataFrame":
    frame = pd.read_parquet(folder / "history.parquet")
    return frame[frame["split"] == split].reset_index(drop=True)


def test_two_processes_train_as_one_does(alone: Path, together: Path) -> None:
    first, second = history(alone, "train"), history(together, "train")
    assert len(first) == len(second) == 12 * 7 * 3, "the loss, its one term and the learning rate of every step"
    assert first.drop(columns="value").equals(second.drop(columns="value"))
    assert second["value"].to_numpy() == pytest.approx(first["value"].to_numpy(), rel=1e-4)
    assert first["value"].tolist() != second["value"].tolist(), "two processes sum in another order"
    assert history(alone, "dev").equals(history(together, "dev"))


def test_there_is_one_artefact_which_says_how_it_was_made(alone: Path, together: Path) -> None:
    runs = [verified(folder, stage="finetune") for folder in (alone, together)]
    assert runs[0]["recipe"] == runs[1]["recipe"]
    assert {path.name for path in together.iterdir()} == {path.name for path in alone.iterdir()}
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (alone, together)]
    assert [m["processes"] for m in metrics] == [1, 2]
    for name in ("score", "dev", "best_step", "steps", "train_rows"):
        assert metrics[0][name] == metrics[1][name]


def test_processes_take_turns_through_a_batch() -> None:
    batch = [5, 3, 8, 1, 9]
    assert [World(rank, 3).share(batch) for rank in range(3)] == [[5, 1], [3, 9], [8]]
    assert World(1, 2).share([7]) == []


# A process that fails -------------------------------------------------------------------------------------------------


def members(out: Path) -> list[int]:
    """The living processes whose command line names an artefact."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(out) in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def helpers(out: Path) -> list[int]:
    """Those that help the first one."""
    found = []
    for pid in members(out):
        try:
            if b"DISTILGRID_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def newest(out: Path) -> int:
    """The step of the newest state; 0 if there is none."""
    return max((int(path.name.split("-")[1]) for path in out.glob(f"{STATE}/step-*.safetensors")), default=0)


def check_failure(work: Work, out: Path, process: "subprocess.Popen[bytes]") -> None:
    assert process.wait(timeout=20) == 2
    said = work.log(out).read_text().splitlines()
    assert "a process of this data-parallel job failed (exit codes [-9])" in said[-1]
    assert "Traceback" not in "".join(said)
    assert eventually(lambda: not members(out), seconds=5)
    left = {path.name for path in out.iterdir()} if out.exists() else set()
    assert left <= {".lock", STATE}


@needs_proc
def test_a_process_that_dies_at_its_start_ends_the_job(work: Work, tmp_path: Path) -> None:
    out = tmp_path / "teacher"
    process = work.start(out)
    assert eventually(lambda: helpers(out), seconds=60)
    os.kill(helpers(out)[0], signal.SIGKILL)
    check_failure(work, out, process)


@needs_proc
def test_a_process_that_dies_later_ends_the_job(work: Work, tmp_path: Path) -> None:
    out = tmp_path / "teacher"
    process = work.start(out)
    assert eventually(lambda: newest(out) > 0, seconds=60)
    os.kill(helpers(out)[0], signal.SIGKILL)
    check_failure(work, out, process)
    assert newest(out) > 0


@needs_proc
@pytest.mark.slow
def test_a_job_of_two_processes_goes_on_to_the_same_bits(work: Work, together: Path, tmp_path: Path) -> None:
    out = tmp_path / "teacher"
    first = work.start(out)
    assert eventually(lambda: newest(out) > 0, seconds=60)
    os.kill(helpers(out)[0], signal.SIGKILL)
    check_failure(work, out, first)

    before = newest(out)
    second = work.start(out)
    assert eventually(lambda: newest(out) > before, seconds=60)
    second.terminate()
    assert second.wait(timeout=10) == os.EX_TEMPFAIL
    assert not members(out)

    work.run(out)
    said = work.log(out).read_text()
    assert re.findall(r"going on after step (\d+)", said)[0] == str(before)
    assert "Traceback" not in said
    for name in EXACT:
        assert (out / name).read_bytes() == (together / name).read_bytes()
