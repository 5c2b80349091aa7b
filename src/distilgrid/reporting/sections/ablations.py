"""Ablations within a grid: methods that differ in one number and in nothing else, found in their settings."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distilgrid.plan.params import Params, effective_training

FEWEST = 3
"""Two values are a comparison, which the main table shows."""


@dataclass(frozen=True)
class Ablation:
    """One setting at several values.

    Attributes:
        objective: what the methods share.
        setting: its name, dotted where it is nested: `mixup.beta`.
        methods: each value's method, smallest value first.
    """

    objective: str
    setting: str
    methods: dict[float, str]


def find_ablations(params: Params) -> list[Ablation]:
    """All ablations of a grid's methods, by the order in which these are listed.

    A method may be part of several: the centre of a star belongs to each of its arms. Training settings count as the
    method is trained with them. Where the teacher runs does not count: it changes no result.
    """
    flat = {name: _settings(params, name) for name in params.grid.methods}
    found: list[Ablation] = []
    for setting in dict.fromkeys(key for values in flat.values() for key in values):
        groups: dict[str, dict[float, str]] = {}
        for name, values in flat.items():
            value = values.get(setting)
            if isinstance(value, int | float) and not isinstance(value, bool):
                groups.setdefault(_rest(values, setting), {}).setdefault(value, name)
        found += [_ablation(flat, setting, methods) for methods in groups.values() if len(methods) >= FEWEST]
    return found


def _ablation(flat: Mapping[str, Mapping[str, Any]], setting: str, methods: dict[float, str]) -> Ablation:
    objective = flat[next(iter(methods.values()))]["objective"]
    return Ablation(objective, setting, dict(sorted(methods.items())))


def _settings(params: Params, name: str) -> dict[str, Any]:
    """A method's settings under dotted names."""
    method = params.methods[name]
    training = effective_training(params, method.training).model_dump()
    return dict(_flat(method.model_dump(exclude={"teacher", "training"}) | {"training": training}))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _rest(values: Mapping[str, Any], setting: str) -> str:
    """All settings but one, the objective among them; equal text means equal settings."""
    return json.dumps({key: value for key, value in values.items() if key != setting}, sort_keys=True)
