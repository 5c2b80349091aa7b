"""Ablations within a grid: methods whose settings differ in a single number."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distilgrid.core.schema import flat
from distilgrid.plan.params import Params, effective_training

FEWEST = 3
"""The fewest values of an ablation. The main table shows comparisons of two."""


@dataclass(frozen=True)
class Ablation:
    """One setting (dotted, as in `mixup.beta`) at several values, with the method of each, smallest value first."""

    objective: str
    setting: str
    methods: dict[float, str]


def find_ablations(params: Params) -> list[Ablation]:
    """All ablations of a grid's methods, in the order of the methods.

    A method may be part of several: the centre of a star belongs to each of its arms. Training settings count as
    merged for the method. The place where the teacher runs does not count because it changes no result.
    """
    flat = {name: _settings(params, name) for name in params.grid.methods}
    found: list[Ablation] = []
    for setting in dict.fromkeys(key for values in flat.values() for key in values):
        groups: dict[str, dict[float, str]] = {}
        for name, values in flat.items():
            value = values.get(setting)
            if isinstance(value, int | float) and not isinstance(value, bool):
                groups.setdefault(_rest(values, setting), {}).setdefault(value, name)
        for methods in (methods for methods in groups.values() if len(methods) >= FEWEST):
            objective = flat[next(iter(methods.values()))]["objective"]
            found.append(Ablation(objective, setting, dict(sorted(methods.items()))))
    return found


def _settings(params: Params, name: str) -> dict[str, Any]:
    method = params.methods[name]
    training = effective_training(params, method.training).model_dump()
    return flat(method.model_dump(exclude={"teacher", "training"}) | {"training": training})


def _rest(values: Mapping[str, Any], setting: str) -> str:
    """All settings but one as text: equal text means equal settings."""
    return json.dumps({key: value for key, value in values.items() if key != setting}, sort_keys=True)
