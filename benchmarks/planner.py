"""How long a grid of thousands of cells takes to plan: `distilgrid plan`, a dry run, and finding that nothing is to do.

Run: python benchmarks/planner.py [--cells 5000] [--repeat 3]

The grid is 5 tasks x 10 methods x 10 students x 10 seeds by default. Nothing is trained: for the last figures every
file of the grid is made, so that both find all of them. Wall seconds and peak memory of each command, the best and the
median of so many runs.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from distilgrid.core.artefacts import RUN
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import expand
from distilgrid.plan.params import parse_params

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("docs-topic", "docs-match", "cola", "mrpc", "rte")
SIZES, LAYERS = (384, 768, 1152, 1536), 6
PLAN = (sys.executable, "-m", "distilgrid", "plan", "--grid", "grid.yaml")
DRY_RUN = (sys.executable, "-m", "snakemake", "-n", "--quiet", "all", "--cores", "2", "--configfile", "grid.yaml")
FOLDERS = ("Snakefile", "workflow", "profiles", "params.yaml", "environment.yml")


def overlay(cells: int) -> dict[str, Any]:
    """A grid of about so many cells: ten students and ten seeds on five tasks, by as many methods as it takes."""
    methods = {f"kd{n}": {"objective": "kd", "temperature": 1 + n} for n in range(max(1, round(cells / 500)))}
    sizes = [{"num_hidden_layers": 1 + n % LAYERS, "intermediate_size": SIZES[n % 4]} for n in range(10)]
    students = {f"s{n}": {"architecture": size, "init": "pretrained"} for n, size in enumerate(sizes)}
    axes = {"tasks": list(TASKS), "methods": list(methods), "students": list(students), "seeds": list(range(10))}
    return {"grid": {"name": "planner", "baselines": [], **axes}, "methods": methods, "students": students}


def make_files(grid: Path) -> int:
    """Every file of the grid, all but `run.json` empty; returns how many artefacts there are."""
    values = deep_merge(yaml.safe_load((ROOT / "params.yaml").read_text()), yaml.safe_load(grid.read_text()))
    plan = expand(parse_params(values, origin=str(grid)))
    for artefact in plan.artefacts.values():
        folder = grid.parent / "results" / artefact.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in artefact.files:
            (folder / name).touch()
        run = {
            "files": dict.fromkeys(artefact.files[:-1], ""),
            "seconds": 60.0,
            "stage": artefact.stage,
            "recipe": dict(artefact.recipe),
        }
        (folder / RUN).write_text(json.dumps(run))
    summary = grid.parent / "results" / plan.tracking / "summary.json"
    summary.parent.mkdir(parents=True)
    summary.touch()
    return len(plan.artefacts)


def measured(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall seconds and peak MiB of a command that must succeed."""
    before = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - before
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def in_process_of_its_own(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result; peak memory of children is known only for all that a process ever had."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in FOLDERS:
            (folder / name).symlink_to(ROOT / name)
        grid = folder / "grid.yaml"
        grid.write_text(yaml.safe_dump(overlay(options.cells)))
        show("distilgrid plan, all to do", PLAN, folder, options.repeat)
        show("dry run, all to do", DRY_RUN, folder, options.repeat)
        print(f"{make_files(grid):,} artefacts")
        show("distilgrid plan, all done", PLAN, folder, options.repeat)
        show("dry run, all done", DRY_RUN, folder, options.repeat)


def show(name: str, command: Sequence[str], folder: Path, repeat: int) -> None:
    """A line with the figures of a command."""
    runs = [in_process_of_its_own(measured, command, folder) for _ in range(repeat)]
    seconds = [run[0] for run in runs]
    peak = max(run[1] for run in runs)
    print(
        f"{name}: {min(seconds):.1f} s at best, {statistics.median(seconds):.1f} s median, {peak:,.0f} MiB", flush=True
    )


if __name__ == "__main__":
    main()
