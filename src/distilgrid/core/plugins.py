"""Features of installed packages: what they list in an entry points group."""

from collections.abc import Collection
from importlib.metadata import entry_points

from distilgrid.core.errors import UserError


def installed(group: str, *, taken: Collection[str] = ()) -> dict[str, str]:
    """The targets, `package.module:name`, that packages list in a group, by name.

    Args:
        group: such as `distilgrid.methods`.
        taken: names that the project itself uses.

    Raises:
        UserError: when a name is taken, or two packages list it.
    """
    found: dict[str, str] = {}
    for point in entry_points(group=group):
        if point.name in taken or found.get(point.name, point.value) != point.value:
            package = point.dist.name if point.dist else point.value
            raise UserError(f"package '{package}' lists '{point.name}' in {group}, which exists already; rename it")
        found[point.name] = point.value
    return found
