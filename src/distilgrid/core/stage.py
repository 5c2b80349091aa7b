"""A stage of the workflow: what its command makes, and from what. Light: no torch.

`distilgrid.stages.table` lists the stages. The command line, the workflow, the planner, `dvc.yaml`, the estimates of
time and docs/stages.md read that table.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from distilgrid.core.planned import Artefact, Inputs, listed

Recipe = dict[str, Any]
Keys = Mapping[str, Any]
"""Keys of inputs by option: one, a list where an input may be given several times, or a mapping by label."""
Place = Literal["asked", "cpu", "cuda"]
"""Where a job's models compute: on the device that `resources.device` asks for, or on one that its settings name."""


@dataclass(frozen=True)
class Option:
    """An option of a stage's command that selects what is made."""

    name: str  # without the dashes
    help: str  # one line
    type: Any = str  # `str`, `int`, `float`, `bool` (a switch), `Path`, or a `Literal` of the choices
    default: Any = ...  # its value when it is not given; `...` for an option that must be given
    low: float | None = None  # the smallest number
    high: float | None = None  # the largest number


@dataclass(frozen=True)
class Input:
    """An input of a stage: the folder of an artefact, given by an option."""

    name: str  # of the option, without the dashes
    help: str  # one line
    stages: tuple[str, ...]  # those that may have made it
    required: bool = True  # whether the command needs it
    several: bool = False  # whether the option may be given more than once; the recipe then holds a list of keys
    by: str | None = None  # the label of the inputs by which the recipe names their keys, instead of a list
    counts: bool = True  # whether the recipe holds its key; otherwise it only has to be there first


@dataclass(frozen=True)
class Stage:
    """One row of the stage table."""

    name: str  # of the command and of the rule
    version: int  # bumped when the results may change; they and all that follows are then made again
    folder: str  # under the results folder
    files: tuple[str, ...]  # of an artefact; `run.json` comes last
    summary: str  # what the command does: one line, a verb phrase
    message: str  # what the workflow says, before the artefact's path
    example: str  # the command's options in an example
    # From parameters and options to the settings of one artefact. Resolves all names, and refuses unknown ones.
    settings: Callable[[Any, Mapping[str, Any]], Any]
    # From these settings and the inputs' keys to all else that decides the content; refuses what does not fit.
    recipe: Callable[[Any, Keys], Recipe]
    # From a planner and the values of options to the planned artefact.
    plan: Callable[[Any, Mapping[str, Any]], Artefact]
    options: tuple[Option, ...] = ()  # of the command
    inputs: tuple[Input, ...] = ()  # of the command
    # From a planner to the artefacts that the grid itself asks for; other stages ask for the rest.
    wanted: Callable[[Any], Iterable[Artefact]] = lambda _: ()
    said: Callable[[Any], Iterable[str]] = lambda _: ()  # from what `run` returned to lines for the user
    axes: tuple[str, ...] = ()  # the options whose values are labels of the artefact in tables
    # From the settings and options to further labels.
    labelled: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] = lambda *_: {}
    labelled_by: str | None = None  # the input whose labels the artefact inherits
    target: str = "all"  # the part of the workflow that it belongs to: `snakemake -- <target>`
    declared: tuple[str, ...] = ()  # what else declares versions that the recipe holds, as patterns below the package
    warm: bool = False  # whether its jobs start in a process that has loaded torch
    torch: bool = True  # whether it needs torch
    # From the settings, and the inputs by option, to where models compute. Jobs hold a GPU for `cuda`, and for `asked`
    # unless `resources.device` is `cpu`; others hold none.
    place: Callable[[Any, Mapping[str, Any]], Place] = lambda *_: "asked"
    parallel: bool = False  # whether `resources.processes` share its batches, each with a GPU
    # The number of threads, of the settings; None takes it from `--threads` or `resources.threads`.
    threads: Callable[[Any], int] | None = None
    # Whether a job needs the machine to itself, or a question about its recipe.
    exclusive: bool | Callable[[Mapping[str, Any]], bool] = False
    # From a recipe to what its jobs need and this machine lacks, such as a package, with what to do.
    lacks: Callable[[Mapping[str, Any]], Iterable[str]] = lambda _: ()
    environment: Mapping[str, str] = field(default_factory=dict)  # variables that libraries read when they are loaded
    finds_inputs: bool = False  # whether the command looks for the inputs itself, in the folder that `--results` names
    seconds: float = 15  # a rough figure for one unit of work, before anything was measured
    # From the recipe, and the training rows that it sees in an epoch, to the units of work.
    units: Callable[[Mapping[str, Any], float], float] = lambda *_: 1
    done_by: str | None = None  # the input whose artefacts do the work, where it is given
    # From the recipe to the name of findings that several artefacts share, and for how many of them these suffice.
    shared: Callable[[Mapping[str, Any]], tuple[str, float] | None] = lambda _: None

    @property
    def module(self) -> str:
        """The module whose function of the stage's name makes the artefact; a warm process loads it beforehand."""
        return f"distilgrid.stages.{self.name}.run"

    def computes_on(self, settings: Any, given: Mapping[str, Any]) -> Place:
        """Where the models of a job compute; `given` are its inputs by option."""
        return self.place(settings, given) if self.torch else "cpu"

    def gpus(self, place: Place, *, device: str, processes: int) -> int:
        """The number of GPUs that a job in a place holds.

        Args:
            place: where its models compute.
            device: that the settings ask for; `auto` counts as a GPU.
            processes: that share each batch of a parallel stage.
        """
        if place == "cpu" or (place == "asked" and device == "cpu"):
            return 0
        return processes if self.parallel else 1

    def alone(self, recipe: Mapping[str, Any]) -> bool:
        """Whether the job of a recipe needs the machine to itself."""
        return self.exclusive(recipe) if callable(self.exclusive) else self.exclusive

    def made_from(self, settings: Any, keys: Keys) -> Recipe:
        """Everything that decides an artefact's content: planner and job both build it here."""
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

    def labels(self, settings: Any, options: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Labels of the artefact in tables: its own, on top of those of the input that it inherits from."""
        above = listed(inputs[self.labelled_by])[0].labels if self.labelled_by else {}
        own = {axis: options[axis] for axis in self.axes if axis in options}
        return {**above, **own, **self.labelled(settings, options)}

    def artefact(self, params: Any, options: Mapping[str, Any], inputs: Inputs, *, place: str) -> Artefact:
        """The planned artefact.

        Args:
            params: the grid's.
            options: their values; those that are not given take the defaults, and other names are left out.
            inputs: by option.
            place: its folder below the stage's, without the key.
        """
        given = {each.name: options[each.name] for each in self.options if each.name in options}
        whole = {each.name: each.default for each in self.options} | given
        settings = self.settings(params, whole)
        return Artefact(
            stage=self.name,
            location=f"{self.folder}/{place}",
            recipe=self.made_from(settings, self.keys(inputs)),
            files=self.files,
            options=_texts(given),
            inputs=inputs,
            labels=self.labels(settings, whole, inputs),
            passes_inputs=not self.finds_inputs,
            place=self.computes_on(settings, inputs),
        )


def passes(recipe: Mapping[str, Any], rows: float) -> float:
    """Units of work of a training: thousands of rows, each as often as it is seen.

    The epochs are those of the phases of the method, where it says them, else those of `training`.
    """
    method = recipe.get("method")
    settings = method.values() if isinstance(method, dict) else ()
    phases = [own["epochs"] for own in settings if isinstance(own, dict) and "epochs" in own]
    return float(sum(phases) or recipe["training"]["epochs"]) * rows / 1000


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    """Values as a command takes them; a switch that is on has none."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return {name: "" if value is True else str(value) for name, value in given.items()}
