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
    """An artefact behind a number: what it gave, its `run.json`, the workflow's log, and the command to repeat it."""

    what: str
    run: str
    log: str
    command: str


@dataclass(frozen=True)
class Provenance:
    """The models, exports and latencies behind a line of the tables, with its anchor on the page and its title."""

    anchor: str
    title: str
    origins: list[Origin]


def provenances(findings: Findings) -> list[Provenance]:
    """The provenance of each line, in order."""
    found = []
    for line in findings.lines:
        title = f" {wording.DOT} ".join((line.labels["task"], line.labels["method"], line.name))
        found.append(Provenance(line.anchor, title, list(_origins(findings, line))))
    return found


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
