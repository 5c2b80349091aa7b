"""Report section on augmented rows: samples with their originals, and counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from distilgrid.reporting import wording
from distilgrid.reporting.collect import FinishedArtefact
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value

LONGEST = 160  # characters of a text that are shown
PAIR = " | "
PARENTS = " + "


def _table(findings: Findings, task: str, name: str, sets: Sequence[FinishedArtefact]) -> Table:
    labels = findings.collected.datasets[task].get("labels", [])
    largest = max(sets, key=lambda rows: rows.values["rows"])
    samples = largest.values["samples"]
    texts = {"before": "before", "after": "after"} if _rewritten(largest) else {"after": "text"}
    columns = [Column(title, number=False) for title in ("label", *texts.values())]
    named = [findings.collected.task_kind(task).named(sample["label"], labels) for sample in samples]
    words = [name if isinstance(name, str) else f"{name:g}" for name in named]
    rows = [[Value(word), *(Value(_shown(s, name)) for name in texts)] for word, s in zip(words, samples, strict=True)]
    return Table(f"{task}: rows of {name}", " ".join(_counts(findings, rows) for rows in sets), columns, rows)


def _counts(findings: Findings, rows: FinishedArtefact) -> str:
    """Numbers of new rows and of rows left out, by share of the originals."""
    grid, labels, values = findings.collected.plan.params.grid, rows.artefact.labels, rows.values
    parts = [f"{100 * labels['fraction']:g} % of rows"] if len(grid.fractions) > 1 else []
    if len(grid.teacher_names) > 1 and "teacher-dir" in rows.artefact.inputs:
        parts.append(f"teacher {labels['teacher']}")
    said = f"{', '.join(parts)}: " if parts else ""
    unchanged, repeated, scored, near = (values[name] for name in ("unchanged", "repeated", "scored", "near"))
    left_out = (
        f"{unchanged:,} unchanged, {repeated:,} repeated, {scored:,} that dev or validation holds, {near:,} nearly"
        if _rewritten(rows)
        else f"{unchanged:,} that the data set holds, {near:,} nearly, {repeated:,} repeated"
    )
    return f"{said}{wording.plural(values['rows'], 'new row')}; left out: {left_out}."


def _rewritten(rows: FinishedArtefact) -> bool:
    """Whether rows were made of others, unlike unlabelled texts."""
    return any(sample["before"] for sample in rows.values["samples"])


def _shown(sample: Mapping[str, Any], name: str) -> str:
    """Texts of a new row, or of the rows that it is made of."""
    return _text(sample["after"]) if name == "after" else PARENTS.join(map(_text, sample["before"]))


def _text(texts: Sequence[str]) -> str:
    """A text, or both of a pair, each cut to a readable length."""
    return PAIR.join(text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}\u2026" for text in texts)


class AugmentedSection(Section):
    """Samples of augmented rows."""

    title = "Augmented rows"
    texts = True
    numbers = False

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """A table for each augmentation: samples of its largest set of rows, and counts of all sets."""
        found: dict[str, list[FinishedArtefact]] = {}
        for rows in findings.collected.augmented:
            if rows.artefact.labels["task"] == task:
                found.setdefault(rows.artefact.labels["augmentation"], []).append(rows)
        return [_table(findings, task, name, sets) for name, sets in found.items()]


SECTION = AugmentedSection()
