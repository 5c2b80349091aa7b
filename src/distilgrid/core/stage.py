"""A stage of the workflow: what its command makes, from what, and what others ask about it. Light: no torch.

`distilgrid.stages.table` lists the stages. The command line, the workflow, the planner, `dvc.yaml`, the estimates of
time and docs/stages.md read that table.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from distilgrid.core.planned import Artefact, Inputs, listed

Recipe = dict[str, Any]
Keys = Mapping[str, Any]
"""Keys of inputs by option: one, a list where an input may be given several times, or a mapping by label."""


@dataclass(frozen=True)
class Option:
    """An option of a stage's command that selects what is made.

    Attributes:
        name: without the dashes.
        help: one line.
        type: `str`, `int`, `float`, `bool` (a switch), `Path`, or a `Literal` of the choices.
        default: its value when it is not given; `...` for an option that must be given.
        low: the smallest number.
        high: the largest number.
    """

    name: str
    help: str
    type: Any = str
    default: Any = ...
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Input:
    """An input of a stage: the folder of an artefact, given by an option.

    Attributes:
        name: of the option, without the dashes.
        help: one line.
        stages: those that may have made it.
        required: whether the command needs it.
        several: whether the option may be given more than once; the recipe then holds a list of keys.
        by: the label of the inputs by which the recipe names their keys, instead of a list.
        counts: whether the recipe holds its key; otherwise it only has to be there first.
    """

    name: str
    help: str
    stages: tuple[str, ...]
    required: bool = True
    several: bool = False
    by: str | None = None
    counts: bool = True


class Known(Protocol):
    """What a recipe needs of an input: an artefact that is planned, or one that lies there."""

    @property
    def key(self) -> str:
        """The recipe key."""

    @property
    def labels(self) -> Mapping[str, Any]:
        """Task, teacher, method, ... for tables."""


def silent(_: Any) -> Iterable[str]:
    """No line for the user."""
    return ()


def nothing(_: Any) -> Iterable[Artefact]:
    """No artefact for the sake of the grid alone: other stages ask for what they need."""
    return ()


def never(_: Mapping[str, Any]) -> bool:
    """Other jobs may run at the same time."""
    return False


def always(_: Mapping[str, Any]) -> bool:
    """The job needs the whole machine."""
    return True


def one(_: Mapping[str, Any]) -> int:
    """Every artefact is one unit of work."""
    return 1


@dataclass(frozen=True)
class Stage:
    """One row of the stage table.

    Attributes:
        name: of the command and of the rule.
        version: bumped when the results may change; they and all that follows are then made again.
        folder: under the results folder.
        files: of an artefact; `run.json` comes last.
        summary: what the command does: one line, a verb phrase.
        message: what the workflow says, before the artefact's path.
        example: the command's options in an example.
        settings: from parameters and options to the settings of one artefact; resolves all names.
        recipe: from these settings and the inputs' keys to all else that decides the content; see `made_from`.
        plan: from a planner and the values of options to the planned artefact.
        run: "module:function" that makes the artefact, of its settings and a job.
        options: of the command.
        inputs: of the command.
        wanted: from a planner to the artefacts that a grid asks for.
        said: lines for the user, of what `run` returned.
        labelled_by: the input whose labels the artefact inherits.
        target: the part of the workflow that it belongs to: `snakemake -- <target>`.
        declared: what else declares versions that the recipe holds, as patterns below the package.
        warm: whether its jobs start in a process that has loaded torch.
        torch: whether it needs torch.
        threads: the number of threads, of the settings; None takes it from `--threads` or `resources.threads`.
        exclusive: whether a job, by its recipe, needs the machine to itself.
        environment: variables that libraries read when they are loaded.
        finds_inputs: whether the command looks for the inputs itself, in the folder that `--results` names.
        seconds: a rough figure for one unit of work, before anything was measured.
        units: of work, by the recipe.
    """

    name: str
    version: int
    folder: str
    files: tuple[str, ...]
    summary: str
    message: str
    example: str
    settings: Callable[[Any, Mapping[str, Any]], Any]
    recipe: Callable[[Any, Keys], Recipe]
    plan: Callable[[Any, Mapping[str, Any]], Artefact]
    run: str
    options: tuple[Option, ...] = ()
    inputs: tuple[Input, ...] = ()
    wanted: Callable[[Any], Iterable[Artefact]] = nothing
    said: Callable[[Any], Iterable[str]] = silent
    labelled_by: str | None = None
    target: str = "all"
    declared: tuple[str, ...] = ()
    warm: bool = False
    torch: bool = True
    threads: Callable[[Any], int] | None = None
    exclusive: Callable[[Mapping[str, Any]], bool] = never
    environment: Mapping[str, str] = field(default_factory=dict)
    finds_inputs: bool = False
    seconds: float = 15
    units: Callable[[Mapping[str, Any]], int] = one

    @property
    def module(self) -> str:
        """The module of `run`, which a warm process loads beforehand."""
        return self.run.partition(":")[0]

    def chosen(self, params: Any, options: Mapping[str, Any]) -> Any:
        """The settings of one artefact; options that are not given take their defaults.

        Raises:
            UserError: for an unknown name, with a suggestion.
        """
        return self.settings(params, {option.name: option.default for option in self.options} | dict(options))

    def made_from(self, settings: Any, keys: Keys) -> Recipe:
        """Everything that decides an artefact's content: planner and job both build it here.

        Raises:
            UserError: when a source of a model or of rows is missing, or an input is not given.
        """
        return {"stage": self.name, "version": self.version, **self.recipe(settings, keys)}

    def keys(self, inputs: Mapping[str, Any]) -> Keys:
        """The keys of inputs, as the recipe holds them: those of the options that count."""
        keys: dict[str, Any] = {}
        for each in self.inputs:
            found = listed(inputs.get(each.name, []))
            if not found or not each.counts:
                continue
            if each.by:
                keys[each.name] = {str(known.labels.get(each.by, known.key)): known.key for known in found}
            else:
                keys[each.name] = [known.key for known in found] if each.several else found[0].key
        return keys

    def labels(self, settings: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What tables say about the artefact."""
        above = listed(inputs[self.labelled_by])[0].labels if self.labelled_by else {}
        return {**above, **settings.labels}

    def artefact(self, params: Any, options: Mapping[str, Any], inputs: Inputs, *, place: str) -> Artefact:
        """The planned artefact.

        Args:
            params: the grid's.
            options: their values; those that are not given take the defaults.
            inputs: by option.
            place: its folder below the stage's, without the key.
        """
        settings = self.chosen(params, options)
        return Artefact(
            stage=self.name,
            location=f"{self.folder}/{place}",
            recipe=self.made_from(settings, self.keys(inputs)),
            files=self.files,
            options=_texts(options),
            inputs=inputs,
            labels=self.labels(settings, inputs),
            passes_inputs=not self.finds_inputs,
        )

    def bumped(self) -> "Stage":
        """The stage as its next version declares it."""
        return dataclasses.replace(self, version=self.version + 1)


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    """Values as a command takes them; a switch that is on has none."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return {name: "" if value is True else str(value) for name, value in given.items()}
