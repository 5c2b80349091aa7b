"""Notes on teachers (`teachers.<name>.note`) and rows, for whatever shows or ships their students. Light."""

from collections.abc import Iterable, Mapping
from typing import Any

from distilgrid.plan.params import Params
from distilgrid.plan.teachers import teacher_names
from distilgrid.reporting.facts import noted


def teacher_notes(params: Params, labels: Iterable[str]) -> dict[str, str]:
    """The notes on the teachers behind some labels, each once, by the teacher's name."""
    names = dict.fromkeys(name for label in labels for name in teacher_names(label))
    return {name: note for name in names if (note := params.teachers[name].note)}


def sentences(notes: Mapping[str, str]) -> str:
    """Notes as a footnote: "minilm-l6: it was tuned on other pairs."; empty without any."""
    return " ".join(f"{name}: {note}." for name, note in notes.items())


def grid_notes(params: Params, datasets: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The notes on all teachers of the grid, and what readers must know about the rows of each task."""
    return {**teacher_notes(params, params.grid.teacher_labels), **noted(datasets)}


def footnote(params: Params, datasets: Mapping[str, Mapping[str, Any]]) -> str:
    """The notes of a grid, for sections that are not about one task. `datasets` are `dataset.json` by task."""
    return sentences(grid_notes(params, datasets))
