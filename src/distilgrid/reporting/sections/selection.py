"""Selection of checkpoints: dev scores of each phase, and optimistic scores of selection on the scored rows."""

from collections.abc import Sequence

from distilgrid.reporting import display, wording
from distilgrid.reporting.collect import TrainedModel
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table
from distilgrid.reporting.tables import MODEL, name_groups

OPTIMISTIC = "optimistic_score"


def optimistic_mean(line: Line) -> float | None:
    """The mean optimistic score over the seeds that have one, or None."""
    values = _optimistic(line)
    return sum(values) / len(values) if values else None


def _caption(scoring: Scoring, split: str, *, watched: bool, phases: Sequence[str]) -> str:
    parts = [f"{wording.sentence(scoring.axis)}, mean {wording.PLUS_MINUS} standard deviation."]
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


def _earlier(model: TrainedModel, metric: str) -> list[tuple[str, float]]:
    """The phases before the last one, whose dev score is the model's, with their dev scores."""
    return [(phase["name"], phase["dev"][metric]) for phase in model.metrics.get("phases", [])[:-1]]


class SelectionSection(Section):
    """The selection of checkpoints.

    No value is marked as best, so that an optimistic score selects nothing here either.
    """

    title = "Selection of checkpoints"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """Main scores, optimistic scores and dev scores after each phase; nothing without the last two."""
        lines, (metric, split) = findings.of(task), findings.main(task)
        watched = any(_optimistic(line) for line in lines)
        phases = list(dict.fromkeys(name for line in lines for name, _ in _earlier(line.models[0], metric)))
        if not watched and not phases:
            return []
        scoring = findings.scoring(task)
        found = {Column(scoring.title, f"on {split}, checkpoint selected on dev"): [line.scores for line in lines]}
        if watched:
            title = f"best on {split} over all evaluations"
            found[Column(title, "optimistic, selected nothing")] = [_optimistic(line) for line in lines]
        for name in phases:
            found[Column(f"dev after {name}", "its best checkpoint")] = [
                [dev for model in line.models for phase, dev in _earlier(model, metric) if phase == name]
                for line in lines
            ]
        dev = [[model.metrics["dev"][metric] for model in line.models] for line in lines]
        found[Column("dev", "of the selected checkpoint")] = dev
        columns = {MODEL: [display.model(line) for line in lines]}
        for column, values in found.items():
            columns[column] = [display.mean(each, scoring) if each else display.EMPTY for each in values]
        caption = _caption(scoring, split, watched=watched, phases=phases)
        return [Table.of(f"{task}: selection of checkpoints", caption, columns, groups=name_groups(lines))]


SECTION = SelectionSection()
