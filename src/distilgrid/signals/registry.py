"""Finding a signal by its name, as the command `record` does."""

from collections.abc import Iterable

from distilgrid.core.errors import UserError
from distilgrid.signals.base import Signal
from distilgrid.signals.rows.plan import RowSignal

ROWS: dict[str, Signal] = {
    "logits": RowSignal("logits"),
    "cls-states": RowSignal("cls-states"),
    "hidden-states": RowSignal("hidden-states"),
}
"""Signals that no method has to describe."""


def find_signal(kind: str, wanted: Iterable[Signal], *, method: str) -> Signal:
    """The signal of a kind.

    Args:
        kind: its name.
        wanted: the signals that a method asks for, as its task and training settings have them.
        method: that method's name.

    Raises:
        UserError: when neither is of that kind.
    """
    found = {**ROWS, **{signal.name: signal for signal in wanted}}
    if kind not in found:
        raise UserError(f"--method: '{method}' wants no {kind} of its teacher; name a method that does")
    return found[kind]
