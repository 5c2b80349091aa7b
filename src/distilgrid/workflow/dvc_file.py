"""The text of `dvc.yaml`: a stage for each part of a grid, whose `deps` name all files that declare versions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from distilgrid.core.stage import Stage
from distilgrid.stages.table import STAGES
from distilgrid.workflow.targets import TARGETS, stages_of

HEAD = """\
# Written by scripts/write_generated.py from the table of stages; a test keeps it so.
# DVC versions what the workflow makes. Each stage is a named target of the Snakefile, which owns the order of the jobs.
# Outputs persist: paths hold recipe keys, so results of several parameter values stand side by side.
# The files under `deps` declare versions: a bumped one makes DVC ask the workflow again.
stages:
"""
PUBLISHED = """\
      - results/latest/report.html
      - results/latest/table.csv
    metrics:
      - results/latest/metrics.json
    plots:
      - results/latest/curves.csv:
          template: cells
          x: step
          y: value
          title: score on dev
"""
PACKAGE = Path(__file__).parents[1]
LOCK, SOURCE = "requirements/lock.txt", "src/distilgrid"


def dvc_text() -> str:
    """The whole file."""
    return HEAD + "".join(map(_stage, TARGETS))


def declaring_files(stages: Sequence[Stage]) -> list[str]:
    """The files that declare the versions of stages and of what their recipes hold, below the package."""
    patterns = [pattern for stage in stages for pattern in (f"stages/{stage.name}/declare.py", *stage.declared)]
    found = (path for pattern in patterns for path in sorted(PACKAGE.glob(pattern)))
    return list(dict.fromkeys(str(path.relative_to(PACKAGE)) for path in found))


def _stage(target: str) -> str:
    stages = stages_of(target)
    folders = _folders(stages)
    last = target == list(TARGETS)[-1]
    goal = "all && python -m distilgrid publish" if last else target
    ready = "" if last else f"mkdir -p {' '.join(folders)} && "
    lines = [
        f"  {target}:",
        f"    cmd: {ready}snakemake --cores all -- {goal}",
        "    params:" + (" &params\n      - params.yaml:" if target == next(iter(TARGETS)) else " *params"),
        "    deps:",
        *(f"      - {path}" for path in _deps(target, stages)),
        "    outs:",
    ]
    for folder in [*folders, *(["results/tracking"] if last else [])]:
        lines += [f"      - {folder}:", "          persist: true"]
    return "\n".join(lines) + "\n" + (PUBLISHED if last else "")


def _deps(target: str, stages: Sequence[Stage]) -> Iterator[str]:
    """The outputs of earlier entries that a part reads, and the files that declare its versions."""
    order = list(TARGETS)
    earlier = [stage for name in order[: order.index(target)] for stage in stages_of(name)]
    read = {name for stage in stages for each in stage.inputs for name in each.stages}
    if target == order[0]:
        yield LOCK
    yield from _folders([stage for stage in earlier if stage.name in read])
    yield from (f"{SOURCE}/{path}" for path in declaring_files(stages))


def _folders(stages: Sequence[Stage]) -> list[str]:
    return [f"results/{stage.folder}" for stage in STAGES.values() if stage in stages]
