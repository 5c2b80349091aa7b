"""Selection of checkpoints: dev scores of each phase, and optimistic scores of selection on the scored rows."""

from collections.abc import Sequence
from typing import Any

from distilgrid.reporting import display, wording
from distilgrid.reporting.collect import TrainedModel
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.reporting.tables import MODEL, name_groups

OPTIMISTIC = "optimistic_score"


def selection_table(findings: Findings, task: str) -> Table | None:
    """Main scores, optimistic scores and dev scores after each phase; None without the last two.

    No value is marked as best, so that an optimistic score selects nothing here either.
    """
    lines, (metric, split) = findings.of(task), findings.main(task)
    scoring = findings.scoring(task)

    def means(values: list[float]) -> Value:
        return display.mean(values, scoring) if values else display.EMPTY

    watched = any(_optimistic(line) for line in lines)
    phases = dict.fromkeys(phase["name"] for line in lines for phase in _earlier(line.models[0]))
    if not watched and not phases:
        return None
    columns = {
        MODEL: [display.model(line) for line in lines],
        Column(scoring.title, f"on {split}, checkpoint selected on dev"): [means(line.scores) for line in lines],
    }
    if watched:
        title = f"best on {split} over all evaluations"
        columns[Column(title, "optimistic, selected nothing")] = [means(_optimistic(line)) for line in lines]
    for name in phases:
        columns[Column(f"dev after {name}", "its best checkpoint")] = [
            means([phase["dev"][metric] for model in line.models for phase in _earlier(model) if phase["name"] == name])
            for line in lines
        ]
    dev = [means([model.metrics["dev"][metric] for model in line.models]) for line in lines]
    columns[Column("dev", "of the selected checkpoint")] = dev
    caption = _caption(scoring, split, watched=watched, phases=list(phases))
    return Table.of(f"{task}: selection of checkpoints", caption, columns, groups=name_groups(lines))


def optimistic_mean(line: Line) -> float | None:
    """The mean optimistic score over the seeds that have one, or None."""
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


def _optimistic(line: Line) -> list[float]:
    return [model.metrics[OPTIMISTIC] for model in line.models if OPTIMISTIC in model.metrics]


def _earlier(model: TrainedModel) -> list[dict[str, Any]]:
    """The phases before the last one, whose dev score is the model's."""
    phases: list[dict[str, Any]] = model.metrics.get("phases", [])
    return phases[:-1]


class SelectionSection(Section):
    """The selection of checkpoints."""

    title = "Selection of checkpoints"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """One table, where models recorded their selection."""
        found = selection_table(findings, task)
        return [found] if found else []


SECTION = SelectionSection()
