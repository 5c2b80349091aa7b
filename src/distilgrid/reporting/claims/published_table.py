"""Published numbers with ours, and the differences between the two set-ups."""

from typing import Any

from distilgrid.reporting import wording
from distilgrid.reporting.claims.schema import ClaimsFile, Published
from distilgrid.reporting.display import EMPTY
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import DEFAULTS, Line, spread
from distilgrid.reporting.scoring import Scoring, scoring, title
from distilgrid.reporting.table import Column, Table, Value

TITLES = ("task", "model", "published", "source", "certainty", "ours")


def published_table(findings: Findings, file: ClaimsFile) -> Table | None:
    """The published numbers of the grid's tasks, with ours where the grid has them; None without any."""
    listed = _listed(findings, file)
    if not listed:
        return None
    rows = [_row(findings, published) for published in listed]
    groups = {n for n in range(1, len(listed)) if listed[n].task != listed[n - 1].task}
    columns = [Column(title, number=title in ("published", "ours")) for title in TITLES]
    paired = sum(row[-1] != EMPTY for row in rows)
    caption = f"{_caption(findings, listed)} {paired} of {wording.plural(len(rows), 'number')} have a counterpart here."
    return Table("Published numbers", caption, columns, rows, groups)


def published_json(findings: Findings, file: ClaimsFile) -> list[dict[str, Any]]:
    """The table as plain values: published numbers as printed, ours as the table shows them, or null."""
    kept = {"task", "model", "value", "metric", "split", "source", "certainty"}
    paired = [(published, _ours(findings, published)) for published in _listed(findings, file)]
    return [
        published.model_dump(include=kept)
        | {"ours": None if value == EMPTY else {"text": value.text, "note": value.note}}
        for published, value in paired
    ]


def _listed(findings: Findings, file: ClaimsFile) -> list[Published]:
    return [row for task in findings.tasks for row in file.published if row.task == task]


def _row(findings: Findings, published: Published) -> list[Value]:
    return [
        Value(published.task),
        Value(published.model),
        number_value(published.value, published.metric, published.split),
        Value(published.source),
        Value(published.certainty),
        _ours(findings, published),
    ]


def number_value(value: float | None, metric: str, split: str) -> Value:
    """A published number as printed, with its metric and split."""
    return Value("unknown" if value is None else f"{value:g}", f"{title(metric)}, {split}")


def _ours(findings: Findings, published: Published) -> Value:
    """Our mean score on all original rows. Several scores stand side by side where an axis is not named."""
    split = published.our_split or findings.main(published.task)[1]
    found = [(line, values) for line in _lines(findings, published) if (values := _values(line, split, published))]
    if not found:
        return EMPTY
    shown = scoring(published.metric)
    text = f" {wording.DOT} ".join(shown.score(sum(values) / len(values)) for _, values in found)
    return Value(text, f" {wording.DOT} ".join(_note(line, values, split, shown) for line, values in found))


def _lines(findings: Findings, published: Published) -> list[Line]:
    if published.method is None:
        return []
    wanted = published.model_dump(include={"teacher", "method", "student"}, exclude_none=True) | DEFAULTS
    return [line for line in findings.of(published.task) if wanted.items() <= line.labels.items()]


def _values(line: Line, split: str, published: Published) -> list[float]:
    known = published.metric in line.facts["validation"].get(split, {})
    return line.values(split, published.metric) if known else []


def _note(line: Line, values: list[float], split: str, scoring: Scoring) -> str:
    deviation = spread(values)
    apart = wording.DASH if deviation is None else scoring.score(deviation)
    return f"{line.name}, {split}, {wording.PLUS_MINUS} {apart}, n={len(values)}"


def _caption(findings: Findings, listed: list[Published]) -> str:
    """The origins of both kinds of numbers, which may be scores on different rows."""
    params = findings.collected.plan.params
    names = params.grid.teacher_names
    splits = ", ".join(dict.fromkeys(row.split for row in listed))
    caps = {"of": params.data.max_validation_rows, "trained on": params.data.max_train_rows}
    capped = "".join(f", {what} at most {cap:,} rows" for what, cap in caps.items() if cap is not None)
    held = f"{wording.percent(params.data.dev_fraction)} of the training rows may be held out to select checkpoints"
    return (
        f"The set-ups differ: published numbers are those of other models on {splits}, as printed; ours are "
        f"{wording.TIMES}100 on the splits in small print{capped}, "
        f"from the teacher{'s' if len(names) > 1 else ''} {', '.join(names)}; {held}. "
        "Certainty: how well the number is known."
    )
