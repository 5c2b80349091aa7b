"""Report section on the generalisation gap, which MixKD's theory says mixing lowers."""

import statistics
from collections.abc import Sequence

from distilgrid.reporting import budgets, display, wording
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line, spread
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.reporting.tables import MODEL, name_groups

TRAINING, DEV, GAP = "train_loss", "dev_loss", "generalisation_gap"


CAPTION = (
    "How much worse a model does on rows that it has not trained on: its loss on `dev`, which is drawn from where the "
    "training rows are and also chose the checkpoint, less its loss on original training rows. Both are with the true "
    "labels and without dropout. MixKD's theory says that training on mixed samples makes this smaller. A small gap "
    "alone says little: a model that has learnt nothing has none. "
    f"Mean {wording.PLUS_MINUS} standard deviation over seeds."
)


def _lowest(lines: Sequence[Line], name: str) -> list[Value]:
    """A number of each line, with the lowest marked of the students that learned something."""

    def written(line: Line) -> tuple[Value, float | None]:
        return _mean(line, name), None if line.failed else -statistics.fmean(_values(line, name))

    return display.marked(lines, written)


def _mean(line: Line, name: str) -> Value:
    values = _values(line, name)
    deviation = spread(values)
    shown = wording.DASH if deviation is None else wording.loss(deviation)
    value = Value(wording.loss(statistics.fmean(values)), f"{wording.PLUS_MINUS} {shown}, n={len(values)}")
    return display.constant(line, value)


def _values(line: Line, name: str) -> list[float]:
    """A number of each seed that has all three."""
    wanted = {TRAINING, DEV, GAP}
    return [model.metrics[name] for model in line.models if wanted <= model.metrics.keys()]


class GapSection(Section):
    """Losses on training rows and on unseen rows."""

    title = "Generalisation gap"

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """Losses and gap of each model; nothing when no student has them."""
        lines = [line for line in findings.of(task) if _values(line, GAP)]
        if all(line.is_teacher for line in lines):
            return []
        columns = {
            MODEL: [display.model(line) for line in lines],
            Column("training loss"): [_mean(line, TRAINING) for line in lines],
            Column("dev loss"): _lowest(lines, DEV),
            Column("gap"): _lowest(lines, GAP),
            **budgets.columns(findings, [[line] for line in lines]),
        }
        parts = (CAPTION, display.constant_caption(lines), budgets.caption(findings, lines))
        caption = " ".join(part for part in parts if part)
        return [Table.of(f"{task}: generalisation gap", caption, columns, groups=name_groups(lines))]


SECTION = GapSection()
