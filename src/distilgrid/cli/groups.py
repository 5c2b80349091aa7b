"""The list of commands in groups, as `distilgrid --help` shows it."""

from typing import Any

from typer.core import TyperGroup

GROUPS: dict[str, tuple[str, ...]] = {
    "Make a grid": ("init", "where", "plan", "report", "publish", "gc"),
    "Look at it": ("track", "diff", "papers"),
    "Ship a model": ("choose", "register", "cards"),
    "Trust it": ("verify", "doctor", "schema"),
}
"""The commands of each group, in order; the stages that a workflow runs come last."""
REST = "Run one stage of the workflow"


class Grouped(TyperGroup):
    """A command whose sub-commands are listed in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each group: its name, and a line with the first sentence of each command's help."""
        named = {name for names in GROUPS.values() for name in names}
        rest = tuple(name for name in self.list_commands(ctx) if name not in named)
        width = max(len(name) for name in self.commands)
        for title, names in {**GROUPS, REST: rest}.items():
            with formatter.section(title):
                known = [name for name in names if name in self.commands]
                first = [str(self.commands[name].help or "").partition("\n")[0].strip() for name in known]
                formatter.write_dl([(name.ljust(width), line) for name, line in zip(known, first, strict=True)])
