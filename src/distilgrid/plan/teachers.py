"""The label of a cell's teachers in tables, paths and options."""

from collections.abc import Iterable

JOINT = "+"  # which no name may hold


def teacher_label(entry: str | Iterable[str]) -> str:
    """The label of an entry of `grid.teachers`: a name, or several names."""
    return entry if isinstance(entry, str) else JOINT.join(entry)


def teacher_names(label: str) -> tuple[str, ...]:
    """The teachers behind a label.

    >>> teacher_names("large+small")
    ('large', 'small')
    """
    return tuple(label.split(JOINT))
