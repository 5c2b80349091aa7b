"""Signals by name, for the command `record`."""

from collections.abc import Iterable
from typing import get_args

from distilgrid.core.errors import UserError
from distilgrid.signals.base import Signal
from distilgrid.signals.rows.plan import RowName, RowSignal

ROWS: dict[str, Signal] = {name: RowSignal(name) for name in get_args(RowName)}
"""Signals that have no settings."""


def find_signal(kind: str, wanted: Iterable[Signal], *, method: str) -> Signal:
    """The signal called `kind`: one without settings, or one of those that a method wants.

    Raises UserError when the method wants none of that kind.
    """
    found = {**ROWS, **{signal.name: signal for signal in wanted}}
    if kind not in found:
        raise UserError(f"--method: '{method}' wants no {kind} of its teacher; name a method that does")
    return found[kind]
