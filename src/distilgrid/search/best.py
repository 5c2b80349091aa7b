"""Results of a search as shapes of students."""

from pathlib import Path

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError
from distilgrid.models.settings import Student
from distilgrid.search.architecture import Architecture
from distilgrid.search.space import read_architecture

BEST = "best.json"


def shaped(student: Student, search: Path | None) -> Student:
    """Give a student the shape that its search found; other students stay the same.

    Raises UserError when the search is missing or damaged, or found fewer architectures.
    """
    from distilgrid.search.candidate import architecture_settings

    if student.found is None:
        return student
    if search is None:
        raise UserError(
            f"the student's shape comes from search '{student.found.search}'; give its folder with --search"
        )
    architecture = found_architecture(search, rank=student.found.rank)
    return student.model_copy(update={"found": None, "architecture": architecture_settings(architecture)})


def found_architecture(search: Path, *, rank: int) -> Architecture:
    """Architecture of a rank, 1 for the highest reward.

    Raises UserError when the search is missing or damaged, or found fewer.
    """
    verified(search, stage="search")
    best = read_json(search / BEST)
    if rank > len(best):
        raise UserError(f"{search / BEST}: holds {len(best)} architectures, rank {rank} is wanted; take a lower one")
    return read_architecture(best[rank - 1]["architecture"])
