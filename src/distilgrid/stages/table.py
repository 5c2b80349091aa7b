"""The table of stages, in the order in which a grid goes through them. Light: no torch.

To add a stage: write `stages/<name>/declare.py` with a STAGE and `stages/<name>/run.py`, and name it here.
"""

from collections.abc import Iterable

from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Stage

BEFORE_STUDENTS = ("prepare", "finetune", "augment", "record", "latency", "supernet", "candidate", "search")
NAMES = (*BEFORE_STUDENTS, "distill", "export", "benchmark", "features", "report")
STAGES: dict[str, Stage] = {name: load(f"distilgrid.stages.{name}.declare:STAGE") for name in NAMES}
TARGETS = {
    "data": "the rows are prepared",
    "teachers": "the teachers are trained and recorded, the rows augmented",
    "searches": "architectures are found",
    "students": "the students are trained",
    "benchmarks": "the exports are checked and measured, the rows projected",
    "report": "the report is written",
}
"""The parts of a grid that have a name in the workflow, and a stage in `dvc.yaml`; what is true once they are made."""


def stages_of(target: str) -> list[Stage]:
    """The stages that belong to a part."""
    return [stage for stage in STAGES.values() if stage.target == target]


def check_machine(artefacts: Iterable[Artefact]) -> None:
    """Refuse artefacts whose jobs need what this machine lacks. Raises UserError naming it, and what to do."""
    for artefact in artefacts:
        for problem in STAGES[artefact.stage].lacks(artefact.recipe):
            raise UserError(problem)


def warm_stages() -> dict[str, str]:
    """The stages whose jobs start in a process that has loaded torch, and the modules that it loads for them.

    Stages that measure are not among them: what they measure runs in a clean process.
    """
    return {name: stage.module for name, stage in STAGES.items() if stage.warm}
