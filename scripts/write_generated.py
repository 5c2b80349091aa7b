"""Write the files that follow from the table of stages: dvc.yaml and docs/stages.md."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.stage import Input, Option, Stage
from distilgrid.stages.table import STAGES, TARGETS, stages_of

DVC_HEAD = """\
# Written by scripts/write_generated.py from the table of stages; a test keeps it so.
# DVC versions what the workflow makes. Each stage is a named target of the Snakefile, which owns the order of the jobs.
# Outputs persist: paths hold recipe keys, so results of several parameter values stand side by side.
# What is damaged is not recorded: `verify` reads all results first.
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
PAGE_HEAD = """\
# Stages

<!-- Written by scripts/write_generated.py from the table of stages; a test keeps it so. -->

A stage is one command and one rule of the workflow. It makes artefacts: folders below `results` whose names end in the
key of their recipe. `distilgrid <stage> --help` shows all options; `distilgrid plan --commands` prints the command of
every artefact of a grid. A stage lies in `src/distilgrid/stages/<stage>/`: `declare.py` says what this page shows,
`run.py` does the work.

"""
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "distilgrid"
LOCK, SOURCE = "requirements/lock.txt", "src/distilgrid"
ORDER = list(TARGETS)


def dvc_text() -> str:
    """The text of `dvc.yaml`: a stage for each part of a grid, whose `deps` name all files that declare versions."""
    return DVC_HEAD + "".join(map(_part, ORDER)) + PUBLISHED


def declaring_files(stages: Sequence[Stage]) -> list[str]:
    """The files that declare the versions of stages and of what their recipes hold, below the package."""
    patterns = [pattern for stage in stages for pattern in (f"stages/{stage.name}/declare.py", *stage.declared)]
    found = (path for pattern in patterns for path in sorted(PACKAGE.glob(pattern)))
    return list(dict.fromkeys(str(path.relative_to(PACKAGE)) for path in found))


def _part(target: str) -> str:
    stages = stages_of(target)
    folders, last = _folders(stages), target == ORDER[-1]
    goal, check = "all" if last else target, "python -m distilgrid verify --part --cells 0"
    goal += f" && {check}" + (" && python -m distilgrid publish" if last else "")
    ready = "" if last else f"mkdir -p {' '.join(folders)} && "
    lines = [
        f"  {target}:",
        f"    cmd: {ready}snakemake --cores all -- {goal}",
        "    params:" + (" &params\n      - params.yaml:" if target == ORDER[0] else " *params"),
        "    deps:",
        *(f"      - {path}" for path in _deps(target, stages)),
        "    outs:",
    ]
    for folder in [*folders, *(["results/tracking"] if last else [])]:
        lines += [f"      - {folder}:", "          persist: true"]
    return "\n".join(lines) + "\n"


def _deps(target: str, stages: Sequence[Stage]) -> Iterator[str]:
    """The outputs of earlier entries that a part reads, and the files that declare its versions."""
    earlier = [stage for name in ORDER[: ORDER.index(target)] for stage in stages_of(name)]
    read = {name for stage in stages for each in stage.inputs for name in each.stages}
    if target == ORDER[0]:
        yield LOCK
    yield from _folders([stage for stage in earlier if stage.name in read])
    yield from (f"{SOURCE}/{path}" for path in declaring_files(stages))


def _folders(stages: Sequence[Stage]) -> list[str]:
    return [f"results/{stage.folder}" for stage in STAGES.values() if stage in stages]


def stages_text() -> str:
    """The text of docs/stages.md: the files, inputs and options of each stage."""
    columns = ("stage", "makes", "from", "version", "starts warm", "needs the machine to itself")
    table = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *map(_row, STAGES.values())]
    return PAGE_HEAD + "\n".join(table) + "\n" + "".join(map(_section, STAGES.values()))


def _row(stage: Stage) -> str:
    sources = dict.fromkeys(name for each in stage.inputs for name in each.stages)
    known: dict[Any, str] = {True: "yes", False: "no"}
    cells = [
        f"[`{stage.name}`](#{stage.name})",
        f"`results/{stage.folder}`",
        ", ".join(f"`{name}`" for name in sources) or "the parameters alone",
        str(stage.version),
        "yes" if stage.warm else "no",
        known.get(stage.exclusive, "when it measures"),
    ]
    return f"| {' | '.join(cells)} |"


def _section(stage: Stage) -> str:
    lines = ["", f"## {stage.name}", "", f"{stage.summary} Files: {', '.join(f'`{n}`' for n in stage.files)}.", ""]
    lines += [*map(_option, stage.options), *([] if stage.finds_inputs else map(_input, stage.inputs))]
    return "\n".join([*lines, "", "```bash", f"distilgrid {stage.name} {stage.example}", "```"]) + "\n"


def _option(option: Option) -> str:
    default = "" if option.default in (..., None, False) else f" Default: `{option.default}`."
    return f"- `--{option.name}`{'' if option.default is ... else ' (optional)'}: {option.help}{default}"


def _input(each: Input) -> str:
    notes = [*([] if each.required else ["optional"]), *(["repeatable"] if each.several else [])]
    said = f" ({', '.join(notes)})" if notes else ""
    return f"- `--{each.name}`{said}: {each.help}"


def main() -> None:
    """Write both files."""
    for name, text in {"dvc.yaml": dvc_text(), "docs/stages.md": stages_text()}.items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(f"{name}: written")


if __name__ == "__main__":
    main()
