"""Which values a method's tuning tried, their scores on dev, and which it took."""

from typing import Any

from distilgrid.reporting import cells, wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.table import Cell, Column, Table

TUNING = "tuning"


def tuning_tables(findings: Findings, task: str) -> list[Table]:
    """A table for each model whose method was tuned: rows are weights of the teacher term, columns temperatures."""
    return [_table(findings, task, line) for line in findings.of(task) if TUNING in line.facts]


def _table(findings: Findings, task: str, line: Line) -> Table:
    found = line.facts[TUNING]
    alphas, temperatures = (sorted({tried[name] for tried in found["tried"]}) for name in ("alpha", "temperature"))
    scores = {(tried["alpha"], tried["temperature"]): tried["dev"] for tried in found["tried"]}
    columns = [Column("alpha"), *(Column(f"T = {temperature:g}") for temperature in temperatures)]
    rows = [[Cell(f"{a:g}"), *(_cell(scores, found["chosen"], a, t) for t in temperatures)] for a in alphas]
    return Table(f"{task}: tuning of {line.labels['method']}, {line.name}", _caption(findings, line), columns, rows)


def _caption(findings: Findings, line: Line) -> str:
    name = line.labels["method"]
    before = findings.collected.plan.params.methods[name].before({"method": name}, tempered=True)
    seeds = f" with seed {before.tried_seed}" if before.tried else ""
    metric = wording.METRICS[findings.main(line.labels["task"])[0]]
    return (
        f"{metric[0].upper()}{metric[1:]} {wording.TIMES} 100 on dev by alpha, the weight of the teacher term, and "
        f"temperature T: one run each{seeds}. The chosen pair was then trained with each seed of the grid."
    )


def _cell(scores: dict[tuple[float, float], float], chosen: dict[str, Any], alpha: float, temperature: float) -> Cell:
    if (alpha, temperature) not in scores:
        return cells.EMPTY
    taken = (chosen["alpha"], chosen["temperature"]) == (alpha, temperature)
    return Cell(wording.score(scores[alpha, temperature]), "chosen" if taken else "", best=taken)
