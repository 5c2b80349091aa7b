"""Notes of the parameters on teachers (`teachers.<name>.note`), for whatever shows or ships their students. Light."""

from collections.abc import Iterable, Mapping

from distilgrid.plan.params import Params
from distilgrid.plan.teachers import teacher_names


def teacher_notes(params: Params, labels: Iterable[str]) -> dict[str, str]:
    """The notes on the teachers behind some labels, each once, by the teacher's name."""
    names = dict.fromkeys(name for label in labels for name in teacher_names(label))
    return {name: note for name in names if (note := params.teachers[name].note)}


def sentences(notes: Mapping[str, str]) -> str:
    """Notes as a footnote: "minilm-l6: it was tuned on other pairs."; empty without any."""
    return " ".join(f"{name}: {note}." for name, note in notes.items())


def footnote(params: Params) -> str:
    """The notes on all teachers of the grid, for sections that are not about one task."""
    return sentences(teacher_notes(params, params.grid.teacher_labels))
