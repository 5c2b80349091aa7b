"""How checkpoints were selected: dev scores of each phase, and what selecting on the scored rows would have shown."""

from collections.abc import Sequence

from distilgrid.reporting import display, wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.reporting.tables import MODEL, name_groups

OPTIMISTIC = "optimistic_score"


def selection_table(findings: Findings, task: str) -> Table | None:
    """Main scores, optimistic scores and dev scores after each phase; None without the last two.

    No value is marked as the best: an optimistic score selects nothing here either.
    """
    lines, (metric, split) = findings.of(task), findings.main(task)
    scoring = findings.scoring(task)
    watched = any(_optimistic(line) for line in lines)
    phases = dict.fromkeys(name for line in lines for name in _earlier(line))
    if not watched and not phases:
        return None
    columns = {
        MODEL: [display.model(line) for line in lines],
        Column(scoring.title, f"on {split}, checkpoint selected on dev"): _means(
            [line.scores for line in lines], scoring
        ),
    }
    if watched:
        title = f"best on {split} over all evaluations"
        columns[Column(title, "optimistic, selected nothing")] = _means([_optimistic(line) for line in lines], scoring)
    for name in phases:
        columns[Column(f"dev after {name}", "its best checkpoint")] = _means(
            [_after(line, name, metric) for line in lines], scoring
        )
    columns[Column("dev", "of the selected checkpoint")] = _means([_dev(line, metric) for line in lines], scoring)
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    caption = _caption(scoring, split, watched=watched, phases=list(phases))
    return Table(f"{task}: selection of checkpoints", caption, list(columns), rows, name_groups(lines))


def optimistic_mean(line: Line) -> float | None:
    """The mean optimistic score over the seeds that have one."""
    values = _optimistic(line)
    return sum(values) / len(values) if values else None


def _caption(scoring: Scoring, split: str, *, watched: bool, phases: Sequence[str]) -> str:
    parts = [f"{scoring.scaled_sentence}, mean {wording.PLUS_MINUS} standard deviation."]
    if watched:
        parts.append(
            f"Optimistic: the best score on {split} over all evaluations of a run, which some public code reports as "
            "its result. It is shown for comparison only: nothing was selected by it, and no other number uses it."
        )
    if phases:
        parts.append(f"Training goes on after {' and '.join(phases)} from the checkpoint that was best on dev by then.")
    return " ".join(parts)


def _means(values: Sequence[list[float]], scoring: Scoring) -> list[Value]:
    return [display.mean(scores, scoring) if scores else display.EMPTY for scores in values]


def _optimistic(line: Line) -> list[float]:
    return [model.metrics[OPTIMISTIC] for model in line.models if OPTIMISTIC in model.metrics]


def _earlier(line: Line) -> list[str]:
    """The phases before the last one, whose dev score is the model's."""
    return [phase["name"] for phase in line.facts.get("phases", [])[:-1]]


def _after(line: Line, name: str, metric: str) -> list[float]:
    phases = [phase for model in line.models for phase in model.metrics.get("phases", [])[:-1]]
    return [phase["dev"][metric] for phase in phases if phase["name"] == name]


def _dev(line: Line, metric: str) -> list[float]:
    return [model.metrics["dev"][metric] for model in line.models]


class SelectionSection(Section):
    """How checkpoints were selected."""

    title = "Selection of checkpoints"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """One table, where models recorded how they were selected."""
        found = selection_table(findings, task)
        return [found] if found else []


SECTION = SelectionSection()
