"""Checks of names in a paper's files. Light: loads neither torch nor pandas."""

from collections.abc import Collection

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.plan.params import Params
from distilgrid.tasks.spec import find_task


def check_method(name: str, known: Collection[str], place: str) -> None:
    """Refuse a method that nothing defines. The message begins with the place."""
    if name not in known:
        raise UserError(f"{place}: unknown method '{name}'; {did_you_mean(name, known)}")


def check_task(name: str, params: Params, place: str) -> None:
    """Refuse a task that neither the parameters nor the package define. The message begins with the place."""
    try:
        find_task(name, params.tasks)
    except UserError as error:
        raise UserError(f"{place}: {str(error).removeprefix('grid.tasks: ')}") from None
