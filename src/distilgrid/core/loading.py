"""Tables that name objects as `package.module:name`, and the entry points that other packages add to them.

Such a table imports nothing before it is used.
"""

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from distilgrid.core.errors import UserError


def load(target: str) -> Any:
    """Import the object that `package.module:name` stands for."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def late(target: str) -> Callable[..., Any]:
    """A function that imports its target when it is called."""

    def call(*values: Any, **named: Any) -> Any:
        return load(target)(*values, **named)

    return call


def with_added(group: str, table: Mapping[str, str]) -> dict[str, str]:
    """A table of targets by name, with the entry points that other packages declare in a group.

    Args:
        group: of entry points: `distilgrid.methods`.
        table: our own rows.

    Raises:
        UserError: when a package declares a name that the table has.
    """
    whole = dict(table)
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        if whole.setdefault(entry.name, entry.value) != entry.value:
            package = entry.dist.name if entry.dist else entry.value
            raise UserError(f"package '{package}': {group} '{entry.name}' exists already; rename or uninstall it")
    return whole
