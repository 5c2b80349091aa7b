"""A planned artefact: its folder, recipe, inputs and command. Light: no torch or pandas."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from distilgrid.core.fingerprint import recipe_key

TEACHER = "teacher"
"""The label `method` of a teacher, which no method trained."""
KNOWN = ".known"
"""Folder of findings about architectures, next to searches, or next to their candidates where these are jobs. All of a
task and teacher share it, and a killed one continues from it."""


@dataclass(frozen=True)
class Artefact:
    """A folder of files that one stage makes."""

    stage: str  # the command that makes it
    location: str  # its folder under the results folder, without the key
    recipe: Mapping[str, Any]  # everything that decides its content, as plain values
    files: tuple[str, ...]  # the names of its files; `run.json`, or the manifest, is written last
    options: Mapping[str, str] = field(default_factory=dict)  # the command's options that select what is made, by name
    # The artefacts it reads, by the command's option.
    inputs: "Mapping[str, Artefact | list[Artefact]]" = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)  # task, teacher, method, ... where they apply, for tables
    passes_inputs: bool = True  # whether the command is told its inputs; otherwise it finds them in the results folder
    place: Literal["asked", "cpu", "cuda"] = "asked"  # where its models compute: the `Place` of its stage

    @cached_property
    def key(self) -> str:
        """The recipe key: 12 hex digits."""
        return recipe_key(self.recipe)

    @cached_property
    def folder(self) -> str:
        """Its folder under the results folder."""
        return f"{self.location}-{self.key}"

    def each_input(self) -> "Iterator[Artefact]":
        """The artefacts it reads, one by one."""
        return (each for value in self.inputs.values() for each in listed(value))

    @property
    def command(self) -> str:
        """The command that makes it in the folder `results`, without the options that name parameter files."""
        return f"distilgrid {self.stage} {self.arguments('results')}"

    def arguments(self, results: str) -> str:
        """The command's options as shell text: what is made, from what, and where it goes."""
        words: list[str] = []
        for option, value in self.options.items():
            words += [f"--{option}", value] if value else [f"--{option}"]  # a switch has no value
        if self.passes_inputs:
            for option, source in self.inputs.items():
                for artefact in listed(source):
                    words += [f"--{option}", f"{results}/{artefact.folder}"]
        else:
            words += ["--results", results]
        return shlex.join([*words, "--out", f"{results}/{self.folder}"])


Listed = TypeVar("Listed")


def listed(source: "Listed | list[Listed]") -> "list[Listed]":
    """One or several, as a list."""
    return source if isinstance(source, list) else [source]


Inputs = dict[str, Artefact | list[Artefact]]
