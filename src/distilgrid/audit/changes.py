"""Differences between two recipes, and their reasons. Light: no torch or pandas."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from distilgrid.audit.made import Made
from distilgrid.core.schema import flat

Kind = Literal["params", "code", "data", "seeds", "environment", "unknown"]
INPUTS = re.compile(r"(^|\.)inputs\.")
PROCESSOR = ("machine.cpu", "machine.flags", "machine.system")
NAMED = {"finetune": "teacher", "distill": "assistant", "record": "teacher's outputs"}
"""Plain names for the products of stages."""


@dataclass(frozen=True)
class Change:
    """A difference between A and B."""

    # `params`; `code`, a declared version of a stage or method; `data`, a setting or source of prepared data; `seeds`;
    # `environment`, a package or processor; `unknown`, when no record tells
    kind: Kind
    what: str  # the difference in words, with both values


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The dotted names whose values differ, with both values as JSON or `unset`. Lists count as values."""
    before, after = ({name: json.dumps(value, sort_keys=True) for name, value in flat(v).items()} for v in (old, new))
    names = (name for name in {**before, **after} if before.get(name) != after.get(name))
    return {name: (before.get(name, "unset"), after.get(name, "unset")) for name in names}


@dataclass(frozen=True)
class Tracer:
    """Traces two artefacts of the same place in two grids back to the causes of their differences."""

    before: Mapping[str, Made]  # the artefacts of A's results folder by key
    after: Mapping[str, Made]  # the artefacts of B's results folder by key

    def reasons(self, old: Made, new: Made) -> list[Change]:
        """Each change once: own settings first, then settings of inputs, prefixed by their stage."""
        return list(dict.fromkeys(self._changes(old, new, prefix="")))

    def _changes(self, old: Made, new: Made, *, prefix: str) -> Iterator[Change]:
        if old.key == new.key:
            return
        for name, values in differences(old.recipe, new.recipe).items():
            if not INPUTS.search(name):
                yield Change(_kind(old.stage, name), prefix + _said(name, *values))
        for name in {**old.inputs, **new.inputs}:
            for keys in zip_longest(old.inputs.get(name, ()), new.inputs.get(name, ())):
                if keys[0] != keys[1]:
                    yield from self._input_changes(name, *keys)

    def _input_changes(self, name: str, one: str | None, other: str | None) -> Iterator[Change]:
        old, new = self.before.get(one or ""), self.after.get(other or "")
        if old is None or new is None:
            yield Change("unknown", f"{name}: another one, and not in both results folders, so nothing tells why")
        else:
            prefix = "" if old.stage == "prepare" else f"{NAMED.get(old.stage, old.stage)}: "
            yield from self._changes(old, new, prefix=prefix)


def surroundings(old: Made, new: Made) -> list[Change]:
    """Package versions and processors that differ: they may lead one recipe to two results."""
    parts = ("versions", "machine")
    found = differences(*({part: made.run.get(part, {}) for part in parts} for made in (old, new)))
    kept = {name: values for name, values in found.items() if name.startswith("versions.") or name in PROCESSOR}
    return [Change("environment", _said(name.partition(".")[2], *values)) for name, values in kept.items()]


def _kind(stage: str, name: str) -> Kind:
    if name.rpartition(".")[2] == "version":
        return "code"
    if stage == "prepare":
        return "data"
    return "seeds" if name == "seed" else "params"


def _said(name: str, old: str, new: str) -> str:
    return f"{name}: {old} -> {new}"
