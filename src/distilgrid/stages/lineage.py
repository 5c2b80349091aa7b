"""Comparison of a job's inputs with each other and with its command: all come from one task, its data and its teachers.

Users give inputs by hand. The workflow gives those that the plan names, which agree. What a recording holds of rows and
teachers is compared where it is opened, in `signals`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from distilgrid.core.errors import UserError
from distilgrid.core.finished import Finished
from distilgrid.plan.teachers import teacher_names

DATA, TEACHER, SEARCH, SUPERNET = "data", "teacher-dir", "search", "supernet"
MADE = {"record": "was recorded on", "augment": "was made of"}
"""What a stage did with data; others train on it."""
UNTAUGHT = ("data", "augmented")
"""Inputs that may be made without a teacher, and then serve all teachers, whichever they are named after."""
Inputs = Mapping[str, Sequence[Finished]]
"""Inputs by the command's option."""


def check_lineage(inputs: Inputs, options: Mapping[str, Any]) -> None:
    """Refuse inputs of another task, of other data, of another teacher, or of another supernet than the search's.

    `options` are the command's. Raises UserError naming the folder and what to give instead.
    """
    for option, given in inputs.items():
        for one in given:
            _check_task(option, one, options.get("task"), inputs)
            _check_data(option, one, inputs)
            if option not in UNTAUGHT or TEACHER in _made_of(one.run["recipe"]):
                _check_teacher(option, one, options.get("teacher"))
    for search in inputs.get(SEARCH, ()):
        _check_supernet(search, inputs)


def _check_task(option: str, one: Finished, asked: str | None, inputs: Inputs) -> None:
    """Tasks by name: that of the command or, without it, of the data."""
    found, data = one.run["labels"].get("task"), next(iter(inputs.get(DATA, ())), None)
    wanted, whose = asked, "--task is"
    if asked is None and data is not None:
        wanted, whose = data.run["labels"].get("task"), f"--{DATA} {data.folder} holds"
    if found and wanted and found != wanted:
        raise UserError(f"--{option} {one.folder}: made for task '{found}', but {whose} '{wanted}'; give those of one")


def _check_data(option: str, one: Finished, inputs: Inputs) -> None:
    """Keys of prepared data, which stand for its rows, splits and labels."""
    data, made_of = next(iter(inputs.get(DATA, ())), None), _made_of(one.run["recipe"]).get(DATA)
    if option == DATA or data is None or made_of is None or made_of == data.run["key"]:
        return
    made = f"{MADE.get(one.run['stage'], 'was trained on')} data {made_of}"
    said = f"--{option} {one.folder}: {made}, but --{DATA} {data.folder} has key {data.run['key']}"
    raise UserError(f"{said}{_labels(one, data)}; give the folder of that data, or make this one again")


def _labels(one: Finished, data: Finished) -> str:
    """The labels of a model and of data, where they differ."""
    if "config.json" not in one.run["files"]:
        return ""
    own = one.json("config.json").get("id2label") or {}
    found = [own[number] for number in sorted(own, key=int)]
    wanted = data.json("dataset.json")["labels"]
    if not own or not wanted or found == wanted:
        return ""
    return f" (labels {_shown(found)}, but here {_shown(wanted)})"


def _shown(labels: Sequence[str]) -> str:
    few = 4
    return ", ".join(labels[:few]) + (f", ... ({len(labels)})" if len(labels) > few else "")


def _check_teacher(option: str, one: Finished, asked: str | None) -> None:
    """Teachers by name; an assistant, and what it answered, has those at the head of its chain."""
    found = one.run["labels"].get("teacher")
    if found and asked and not set(teacher_names(found)) & set(teacher_names(asked)):
        said = f"--{option} {one.folder}: of teacher '{found}', but --teacher is '{asked}'"
        raise UserError(f"{said}; give those of one")


def _check_supernet(search: Finished, inputs: Inputs) -> None:
    """The supernet that a search asked."""
    asked = _made_of(search.run["recipe"]).get(SUPERNET)
    for given in inputs.get(SUPERNET, ()):
        if asked != given.run["key"]:
            said = f"--{SUPERNET} {given.folder}: has key {given.run['key']}, but --{SEARCH} {search.folder} asked"
            raise UserError(f"{said} {asked or 'no supernet'}; give those of one search")


def _made_of(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys of an artefact's inputs; a candidate's recipe holds that of its search."""
    inputs: Mapping[str, Any] = recipe.get("inputs") or recipe.get("search", {}).get("inputs", {})
    return inputs
