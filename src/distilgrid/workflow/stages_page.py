"""The text of docs/stages.md: the files, inputs and options of each stage."""

from typing import Any

from distilgrid.core.stage import Input, Option, Stage, always, never
from distilgrid.stages.table import STAGES

HEAD = """\
# Stages

<!-- Written by scripts/write_generated.py from the table of stages; a test keeps it so. -->

A stage is one command and one rule of the workflow. It makes artefacts: folders below `results` whose names end in the
key of their recipe. `distilgrid <stage> --help` shows all options; `distilgrid plan --commands` prints the command of
every artefact of a grid. A stage lies in `src/distilgrid/stages/<stage>/`: `declare.py` says what this page shows,
`run.py` does the work.

"""


def stages_text() -> str:
    """The whole page."""
    columns = ("stage", "makes", "from", "version", "starts warm", "needs the machine to itself")
    table = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *map(_row, STAGES.values())]
    return HEAD + "\n".join(table) + "\n" + "".join(map(_section, STAGES.values()))


def _row(stage: Stage) -> str:
    sources = dict.fromkeys(name for each in stage.inputs for name in each.stages)
    known: dict[Any, str] = {always: "yes", never: "no"}
    alone = known.get(stage.exclusive, "when it measures")
    cells = [
        f"[`{stage.name}`](#{stage.name})",
        f"`results/{stage.folder}`",
        ", ".join(f"`{name}`" for name in sources) or "the parameters alone",
        str(stage.version),
        "yes" if stage.warm else "no",
        alone,
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
