"""Tables that name objects as `package.module:name`, and the entry points that other packages add to them.

Such a table imports nothing before it is used.
"""

import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

from distilgrid.core.errors import UserError

T = TypeVar("T")


def load(target: str) -> Any:
    """Import the object that `package.module:name` stands for."""
    return pkgutil.resolve_name(target)


def late(target: str) -> Callable[..., Any]:
    """A function that imports its target when it is called."""

    def call(*values: Any, **named: Any) -> Any:
        return load(target)(*values, **named)

    return call


def load_class(what: str, target: str, of: type[T]) -> type[T]:
    """A class that a package may have added. Raises UserError unless it can be imported and is a subclass of `of`."""
    found: type[T] = _imported(what, target, of, "a subclass", lambda it: isinstance(it, type) and issubclass(it, of))
    return found


def load_instance(what: str, target: str, of: type[T]) -> T:
    """An object that a package may have added. Raises UserError unless it can be imported and is of class `of`."""
    found: T = _imported(what, target, of, "an instance", lambda it: isinstance(it, of))
    return found


def _imported(what: str, target: str, of: type, wanted: str, fits: Callable[[Any], bool]) -> Any:
    try:
        found = load(target)
    except UserError:
        raise
    except Exception as error:  # a package may raise anything while it is imported
        said = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{what}: cannot load {target} ({said}); repair or uninstall its package") from error
    if not fits(found):
        raise UserError(f"{what}: {target} must be {wanted} of {of.__module__}.{of.__name__}")
    return found


def with_added(group: str, table: Mapping[str, str]) -> dict[str, str]:
    """Our table of targets by name, with the entry points that other packages declare in a group: `distilgrid.methods`.

    Raises UserError when a package declares a name that the table has.
    """
    whole = dict(table)
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        if whole.setdefault(entry.name, entry.value) != entry.value:
            package = entry.dist.name if entry.dist else entry.value
            raise UserError(f"package '{package}': {group} '{entry.name}' exists already; rename or uninstall it")
    return whole
