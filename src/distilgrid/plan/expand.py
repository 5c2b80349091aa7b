"""The plan of a grid: every cell and artefact, with its path and recipe key. Light: no torch or pandas."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from distilgrid.core.loading import load
from distilgrid.core.planned import KNOWN, Artefact
from distilgrid.devices.settings import Device
from distilgrid.plan.params import Params
from distilgrid.plan.planner import Planner, Table

TABLE = "distilgrid.stages.table:STAGES"  # by name, because it lies on a higher floor


@dataclass(frozen=True)
class Plan:
    """All artefacts of a grid."""

    params: Params  # the grid's
    devices: Mapping[str, Device]  # by name
    made: Mapping[str, list[Artefact]]  # the artefacts of each stage
    wanted: Mapping[str, list[Artefact]]  # those of each stage that the grid itself asks for

    def of(self, stage: str) -> list[Artefact]:
        """All artefacts of a stage."""
        return self.made[stage]

    @cached_property
    def artefacts(self) -> dict[str, Artefact]:
        """Every artefact by its folder, in an order in which they can be made."""
        ordered: dict[str, Artefact] = {}

        def add(artefact: Artefact) -> None:
            if artefact.folder not in ordered:
                for source in artefact.each_input():
                    add(source)
                ordered[artefact.folder] = artefact

        for artefact in chain.from_iterable(self.made.values()):
            add(artefact)
        return ordered

    @cached_property
    def data(self) -> dict[str, Artefact]:
        """Prepared data by task."""
        return {artefact.labels["task"]: artefact for artefact in self.of("prepare")}

    @property
    def teachers(self) -> list[Artefact]:
        """Fine-tuned teachers."""
        return self.of("finetune")

    @property
    def students(self) -> list[Artefact]:
        """The grid's cells."""
        return self.wanted["distill"]

    @cached_property
    def helpers(self) -> list[Artefact]:
        """Models that are trained on the way to students: assistants, and cells that try values of a tuning."""
        cells = {student.folder for student in self.students}
        return [model for model in self.of("distill") if model.folder not in cells]

    @property
    def report(self) -> Artefact:
        """The report."""
        (report,) = self.of("report")
        return report

    @property
    def known(self) -> list[str]:
        """The folders, under the results folder, of the searches' findings about architectures."""
        made = [*self.of("search"), *self.of("candidate")]
        return sorted({f"{each.location.rpartition('/')[0]}/{KNOWN}" for each in made})

    @property
    def tracking(self) -> str:
        """The folder, under the results folder, of the summary of this grid in MLflow."""
        return f"tracking/{self.params.grid.name}-{self.report.key}"


def expand(params: Params, *, stages: Table | None = None) -> Plan:
    """The plan of a grid, by the package's stage table unless another is given.

    Raises UserError for missing source files, libraries or model packages, or a method that does not fit its training.
    """
    table: Table = load(TABLE) if stages is None else stages
    planner = Planner(params, table)
    planner.plan()
    made = {name: planner.of(name) for name in table}
    return Plan(params, planner.devices, made, planner.wanted)
