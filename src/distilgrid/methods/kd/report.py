"""Report section on tuning: the tried values, their dev scores and the choice."""

from distilgrid.reporting import display, wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value

TUNING = "tuning"


def _table(findings: Findings, task: str, line: Line) -> Table:
    found = line.facts[TUNING]
    scores = {(tried["alpha"], tried["temperature"]): tried["dev"] for tried in found["tried"]}
    chosen = found["chosen"]["alpha"], found["chosen"]["temperature"]
    alphas, temperatures = (sorted(set(values)) for values in zip(*scores, strict=True))

    def value(pair: tuple[float, float]) -> Value:
        if pair not in scores:
            return display.EMPTY
        return Value(line.scoring.score(scores[pair]), "chosen" if pair == chosen else "", best=pair == chosen)

    columns = [Column("alpha"), *(Column(f"T = {temperature:g}") for temperature in temperatures)]
    rows = [[Value(f"{alpha:g}"), *(value((alpha, temperature)) for temperature in temperatures)] for alpha in alphas]
    return Table(f"{task}: tuning of {line.labels['method']}, {line.name}", _caption(findings, line), columns, rows)


def _caption(findings: Findings, line: Line) -> str:
    name = line.labels["method"]
    before = findings.collected.plan.params.methods[name].before({"method": name}, tempered=True)
    seeds = f" with seed {before.tried_seed}" if before.tried else ""
    return (
        f"{wording.sentence(line.scoring.axis)} on dev by alpha, the weight of the teacher term, and "
        f"temperature T: one run each{seeds}. The chosen pair was then trained with each seed of the grid."
    )


class TuningSection(Section):
    """Tried values of alpha and temperature."""

    title = "Tuning of alpha and temperature"
    before = "distilgrid.search.report.section:SECTION"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """A table for each tuned model: rows are weights of the teacher term, columns temperatures."""
        return [_table(findings, task, line) for line in findings.of(task) if TUNING in line.facts]


SECTION = TuningSection()
