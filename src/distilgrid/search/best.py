"""Results of a search as shapes of students. A student without a search needs nothing else of this folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.models.settings import Student

if TYPE_CHECKING:
    from distilgrid.search.architecture import Architecture

BEST = "best.json"


def shaped(student: Student, search: Path | None) -> Student:
    """Give a student the shape that its search found; other students stay the same.

    Raises UserError when the search is missing or damaged, or found fewer architectures.
    """
    if student.found is None:
        return student
    if search is None:
        raise UserError(
            f"the student's shape comes from search '{student.found.search}'; give its folder with --search"
        )
    from distilgrid.search.architecture import student_shape

    architecture = student_shape(found_architecture(search, rank=student.found.rank))
    return student.model_copy(update={"found": None, "architecture": architecture})


def found_architecture(search: Path, *, rank: int) -> "Architecture":
    """Architecture of a rank, 1 for the highest reward.

    Raises UserError when the search is missing or damaged, or found fewer.
    """
    from distilgrid.search.architecture import read_architecture

    best = open_finished(search, stage="search").json(BEST)
    if rank > len(best):
        raise UserError(f"{search / BEST}: holds {len(best)} architectures, rank {rank} is wanted; take a lower one")
    return read_architecture(best[rank - 1]["architecture"])
