"""The parts of a grid that have a name in the workflow, and a stage in `dvc.yaml`. Light: no torch."""

from collections.abc import Mapping

from distilgrid.core.stage import Stage
from distilgrid.stages.table import STAGES

TARGETS: Mapping[str, str] = {
    "data": "the rows are prepared",
    "teachers": "the teachers are trained and recorded, the rows augmented",
    "searches": "architectures are found",
    "students": "the students are trained",
    "benchmarks": "the exports are checked and measured, the rows projected",
    "report": "the report is written",
}
"""By name, what is true once they are made."""


def stages_of(target: str) -> list[Stage]:
    """The stages that belong to a part."""
    return [stage for stage in STAGES.values() if stage.target == target]


def rule_name(stage: Stage) -> str:
    """The name of a stage's rule; a part keeps its own."""
    return f"write_{stage.name}" if stage.name in TARGETS else stage.name
