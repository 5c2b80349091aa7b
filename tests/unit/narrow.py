"""Recording of hidden states, and learning from them, in a process that may take little memory.

`python -m tests.unit.narrow FOLDER MIB`: FOLDER holds data, a teacher and the model that a student starts from. Each
stage runs on a few rows first, which loads the libraries. The process may then take MIB mebibytes more, and each stage
runs on all rows. It writes by how many MiB its peak grew, the pages of mapped files among them.
"""

import re
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from tests.unit.made import Cell, distill, record

from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.teaching import Sources
from distilgrid.models.settings import Student
from distilgrid.signals.base import ROWS
from distilgrid.training.settings import Training

MIB = 1 << 20
FEW = 0.02
TRAINING = Training(epochs=1, batch_size=64, learning_rate=1e-3, max_length=32, precision="fp32")
METHOD = HiddenKD(hidden={"epochs": 1}, task=None)


def held(kind: str) -> int:
    """Bytes of this process's memory, as Linux counts them."""
    text = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{kind}:\s+(\d+) kB", text)[0]) * 1024


def run(folder: Path, fraction: float) -> None:
    """Record, learn from the recording, and learn from the teacher itself."""
    out = folder / f"share-{fraction}"
    given: dict[str, Any] = {"data": folder / "data", "teacher": folder / "teacher", "max_length": 32}
    record(signal=ROWS["hidden-states"], out=out / "outputs", labels={}, fraction=fraction, **given)
    cell = Cell(METHOD, Student(layers=1), f"path:{folder / 'model'}", TRAINING, "none", fraction, 0)
    ways: dict[str, Any] = {
        "recorded": {"teacher_outputs": [out / "outputs"]},
        "live": {"teachers": [folder / "teacher"]},
    }
    for name, teaching in ways.items():
        distill(cell=cell, sources=Sources(folder / "data", **teaching), out=out / name, labels={})


def main(folder: Path, mib: int) -> None:
    torch.set_num_threads(1)
    run(folder, FEW)
    before, peak = held("VmData"), held("VmHWM")
    resource.setrlimit(resource.RLIMIT_DATA, (before + mib * MIB,) * 2)
    run(folder, 1.0)
    sys.stdout.write(f"{(held('VmHWM') - peak) // MIB}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
