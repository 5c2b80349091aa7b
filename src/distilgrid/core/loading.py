"""Load an object by the string that names it, so that a table can name modules it must not import."""

import importlib
from collections.abc import Callable
from typing import Any


def load(target: str) -> Any:
    """The object that `package.module:name` stands for, imported on use."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def late(target: str) -> Callable[..., Any]:
    """A function that loads the one it stands for when it is called."""

    def call(*values: Any, **named: Any) -> Any:
        return load(target)(*values, **named)

    return call
