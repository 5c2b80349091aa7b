"""Where the numbers of a line come from: each artefact with its folder, its log and the command that made it."""

from collections.abc import Iterator
from dataclasses import dataclass

from distilgrid.core.planned import Artefact
from distilgrid.plan.teachers import teacher_names
from distilgrid.reporting import wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line


@dataclass(frozen=True)
class Origin:
    """One artefact.

    Attributes:
        what: the numbers that come from it.
        run: its `run.json`, under the results folder.
        log: what was said while it was made, where the workflow made it.
        command: that makes it again.
    """

    what: str
    run: str
    log: str
    command: str


@dataclass(frozen=True)
class Provenance:
    """All artefacts behind a line of the tables.

    Attributes:
        anchor: where a page shows it.
        title: of the line.
        origins: its models, exports and latencies.
    """

    anchor: str
    title: str
    origins: list[Origin]


def provenances(findings: Findings) -> list[Provenance]:
    """One for each line, in the order of the lines."""
    return [Provenance(line.anchor, _title(line), list(_origins(findings, line))) for line in findings.lines]


def _title(line: Line) -> str:
    return f" {wording.DOT} ".join((line.labels["task"], line.labels["method"], line.name))


def _origins(findings: Findings, line: Line) -> Iterator[Origin]:
    for model in line.models:
        yield _origin(f"seed {model.seed}: {line.scoring.score(model.metrics['score'])}", model.artefact)
    for runtime, exports in line.exports.items():
        for export in exports:
            said = f"{runtime}, seed {export.artefact.labels['seed']}: {line.scoring.score(export.values['score'])}"
            yield _origin(said, export.artefact)
    for benchmark in findings.collected.benchmarks:
        labels = benchmark.artefact.labels
        if labels["task"] == line.labels["task"] and labels["teacher"] in teacher_names(line.labels["teacher"]):
            yield _origin(f"latencies on {labels['device']}", benchmark.artefact)


def _origin(what: str, artefact: Artefact) -> Origin:
    return Origin(what, f"{artefact.folder}/run.json", f"logs/{artefact.folder}.log", artefact.command)
