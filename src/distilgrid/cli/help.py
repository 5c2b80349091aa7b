"""Help of which nothing that a user may paste is broken, however narrow the terminal."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

UNWRAPPED = "\b\n"
"""Begins a paragraph whose lines stay whole at any width."""
Context: Any = TyperCommand.context_class


class WholeWords(Context.formatter_class):
    """Writes lists whose right column has room for its longest word, such as a path or an address."""

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names with their texts; a name too long for its column has a line to itself."""
        longest = max(len(word) for _, text in rows for word in text.split())
        super().write_dl(rows, min(col_max, self.width - longest - 2 * col_spacing), col_spacing)


class WholeContext(Context):
    """A context whose help keeps words whole."""

    formatter_class = WholeWords


class Command(TyperCommand):
    """A command whose help keeps words whole."""

    context_class = WholeContext


class CommandGroup(TyperGroup):
    """A command with sub-commands whose help keeps words whole."""

    context_class = WholeContext
