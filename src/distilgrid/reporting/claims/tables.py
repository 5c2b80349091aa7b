"""Claims with verdicts, and published numbers with ours, as tables and as plain values."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from distilgrid.reporting import display, wording
from distilgrid.reporting.claims.judge import JointJudgement, Judgement, Result, judge_joint
from distilgrid.reporting.claims.schema import LATENCY, MAIN, POINTS, Claim, ClaimsFile, Published
from distilgrid.reporting.display import EMPTY
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.intervals import FEWEST_SEEDS
from distilgrid.reporting.lines import DEFAULTS
from distilgrid.reporting.noted import footnote, grid_notes
from distilgrid.reporting.scoring import Scoring, scoring, title
from distilgrid.reporting.table import Column, Table, Value

TONES = {"confirmed": "better", "refuted": "worse"}
MANY_SEEDS = 1000
BUDGETS = (
    "Steps: optimiser steps of the first side in those of the second where training budgets differ, mean over matched "
    "cells; reads: tokens or images that went through the student, where their ratio is another one."
)


def claims_table(findings: Findings, file: ClaimsFile, *, judged: Sequence[Judgement]) -> Table:
    """Each claim with its source, and its effect and verdict over all tasks and for each task."""
    rows: list[list[Value]] = []
    groups: set[int] = set()
    confidence = findings.collected.plan.params.report.confidence
    for judgement in judged:
        groups.add(len(rows))
        rows += _claim_rows(judgement)
    columns = [Column(title, number=False) for title in ("claim", "source", "certainty", "task")]
    for joint in judge_joint(file, judged):
        groups.add(len(rows))
        rows.append(_joint_row(joint))
    columns += [Column("effect", f"{wording.level(confidence)} CI"), Column("verdict", "uncorrected", number=False)]
    columns += [Column("verdict", f"corrected, {FEWEST_SEEDS} seeds or more", number=False)]
    caption = _caption(findings, file, judged)
    if any(result.budget for judgement in judged for result in judgement.results):
        columns.append(Column("steps", "first side to second"))
        caption = f"{caption} {BUDGETS}"
    else:
        rows = [row[:-1] for row in rows]
    return Table(f"Claims of {file.paper.title} ({file.paper.year})", caption, columns, rows, groups)


def claims_tables(findings: Findings, file: ClaimsFile, *, judged: Sequence[Judgement]) -> list[Table]:
    """The tables that a claims file adds to a report."""
    published = published_table(findings, file)
    claimed = [claims_table(findings, file, judged=judged)] if file.claims else []
    return claimed + ([published] if published else [])


def paper_claims_table(table: Table) -> Table:
    """A table of claims or published numbers for paper, without the small print of texts."""
    kept = [column.number for column in table.columns]
    rows = [[value if k else replace(value, note="") for k, value in zip(kept, row, strict=True)] for row in table.rows]
    return replace(table, rows=rows)


def claims_json(findings: Findings, file: ClaimsFile | None, *, judged: Sequence[Judgement] = ()) -> dict[str, Any]:
    """The paper, its claims with effects in their units, and its published numbers with ours, as plain values.

    Without a file, the entries are empty. `notes` are those on the grid's teachers and rows, by name.
    """
    params = findings.collected.plan.params
    return {
        "paper": file.paper.model_dump() if file else None,
        "claims": [_plain(judgement) for judgement in judged],
        "joint": [_plain_joint(joint) for joint in judge_joint(file, judged)] if file else [],
        "published": published_json(findings, file) if file else [],
        "decided": None,
        "notes": grid_notes(params, findings.collected.datasets),
    }


def _caption(findings: Findings, file: ClaimsFile, judged: Sequence[Judgement]) -> str:
    covers = (result.covers for judgement in judged for result in judgement.results)
    parts = [
        f"{file.paper.url}. Certainty: how well it is known that the paper says so.",
        "Effect: the first side less the second, mean over seeds and matched cells; in points where no unit is named.",
        f"{wording.claim_intervals(covers)} The teacher is one run. Both verdicts are shown: by each claim's own "
        "interval, and corrected for all results of these "
        f"claims (Holm 1979), which fewer than {FEWEST_SEEDS} seeds never pass. A joint claim is confirmed when all of "
        "its parts are, and refuted when one is.",
    ]
    if findings.seeds() == (1, 1):
        parts.append(f"Students have {wording.ONE_SEED}.")
    return " ".join([*parts, footnote(findings.collected.plan.params, findings.collected.datasets)]).rstrip()


def _claim_rows(judgement: Judgement) -> list[list[Value]]:
    claim, rows = judgement.claim, []
    for result in judgement.results:
        over = result.tasks[0] if len(result.tasks) == 1 else f"mean of {len(result.tasks)} tasks"
        verdict = Value(result.verdict, reason(claim, result), tone=TONES.get(result.verdict, ""))
        corrected = Value(result.corrected, _p_note(result), tone=TONES.get(result.corrected, ""))
        spent = Value(result.budget.words(against="")) if result.budget else EMPTY
        rows.append([Value(over, _metric(judgement)), _effect(judgement, result), verdict, corrected, spent])
    if judgement.missing:
        rows.append([EMPTY, EMPTY, Value("not in this grid", f"no {', no '.join(judgement.missing)}"), EMPTY, EMPTY])
    heads = [[Value(claim.id, claim.claim), Value(claim.source), Value(claim.certainty)]]
    heads += [[Value("")] * 3] * (len(rows) - 1)
    return [[*head, *row] for head, row in zip(heads, rows, strict=True)]


def _p_note(result: Result) -> str:
    """The corrected p-value, or the reason why no verdict of so few seeds stands."""
    if result.adjusted is None:
        return ""
    few = f", only {wording.plural(result.seeds, 'seed')}" if result.seeds < FEWEST_SEEDS else ""
    return f"p={result.adjusted:.2g}{few}"


def _joint_row(joint: JointJudgement) -> list[Value]:
    """A conjunction: its parts with their verdicts, and its own two verdicts."""
    claim = joint.claim
    parts = "; ".join(f"{part.claim.id}: {part.verdict}, corrected: {part.corrected}" for part in joint.parts)
    verdicts = [Value(verdict, tone=TONES.get(verdict, "")) for verdict in (joint.verdict, joint.corrected)]
    about = [Value(claim.id, claim.claim), Value(claim.source), Value(claim.certainty)]
    return [*about, Value("all together", parts), EMPTY, *verdicts, EMPTY]


def _metric(judgement: Judgement) -> str:
    """The metric if it is not the score, and the direction if less is claimed."""
    parts = [] if judgement.claim.metric == MAIN else [judgement.claim.metric]
    return ", ".join(parts if judgement.scoring.higher_is_better else [*parts, "less is claimed"])


def _effect(judgement: Judgement, result: Result) -> Value:
    """An effect with its interval, in points or in the claim's unit."""
    scoring, unit, in_points = judgement.scoring, judgement.claim.unit, judgement.claim.unit == POINTS
    text = scoring.signed(result.effect) if in_points else f"{wording.digits(result.effect, '+')} {unit}"
    count = f"n={result.seeds}"
    if result.low is None or result.high is None:
        return Value(text, count)
    write = scoring.bounds if in_points else wording.plain_bounds
    return Value(text, f"{write(result.low, result.high)}, {count}")


def reason(claim: Claim, result: Result) -> str:
    """A remark on a verdict: what a clearer one needs, or what its interval leaves out."""
    if result.low is None:
        return "measured too briefly" if claim.metric.startswith(LATENCY) else "one seed: no interval is known"
    if result.rows_too_few:
        return "too few validation rows for an effect of this size, whatever the number of seeds"
    if result.seeds_needed is not None:
        number = f"over {MANY_SEEDS:,}" if result.seeds_needed > MANY_SEEDS else f"about {result.seeds_needed:,}"
        return f"{number} seeds needed if the effect stays as it is"
    if result.verdict != "not enough evidence":
        return ""
    return f"the effect is within the minimum of {claim.minimum:g} {claim.unit}" if claim.minimum else "no effect"


def _plain(judgement: Judgement) -> dict[str, Any]:
    shown = {"id", "claim", "source", "certainty", "metric", "unit", "direction", "minimum"}
    return {
        **judgement.claim.model_dump(include=shown),
        "direction": "higher" if judgement.scoring.higher_is_better else "lower",
        "verdict": judgement.verdict,
        "corrected": judgement.corrected,
        "missing": list(judgement.missing),
        "results": [_plain_result(judgement.scoring, result) for result in judgement.results],
    }


def _plain_joint(joint: JointJudgement) -> dict[str, Any]:
    return {**joint.claim.model_dump(), "verdict": joint.verdict, "corrected": joint.corrected}


def _plain_result(scoring: Scoring, result: Result) -> dict[str, Any]:
    """A result with its effect in the claim's unit, and the corrected p-value by the name of the correction."""
    values = {**asdict(result), "tasks": list(result.tasks), "p_holm": result.adjusted}
    del values["adjusted"], values["found"]
    known = (name for name in ("effect", "low", "high") if values[name] is not None)
    return values | {name: scoring.scale * values[name] for name in known}


def published_table(findings: Findings, file: ClaimsFile) -> Table | None:
    """The published numbers of the grid's tasks, with ours where the grid has them; None without any."""
    listed = _listed(findings, file)
    if not listed:
        return None
    columns = {
        Column("task", number=False): [Value(row.task) for row in listed],
        Column("model", number=False): [Value(row.model) for row in listed],
        Column("published"): [number_value(row.value, row.metric, row.split) for row in listed],
        Column("source", number=False): [Value(row.source) for row in listed],
        Column("certainty", number=False): [Value(row.certainty) for row in listed],
        Column("ours"): (ours := [_ours(findings, row) for row in listed]),
    }
    groups = {n for n in range(1, len(listed)) if listed[n].task != listed[n - 1].task}
    paired = f"{sum(value != EMPTY for value in ours)} of {wording.plural(len(listed), 'number')}"
    noted = footnote(findings.collected.plan.params, findings.collected.datasets)
    caption = f"{_set_ups(findings, listed)} {paired} have a counterpart here. {noted}".rstrip()
    return Table.of("Published numbers", caption, columns, groups=groups)


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


def number_value(value: float | None, metric: str, split: str) -> Value:
    """A published number as printed, with its metric and split."""
    return Value("unknown" if value is None else f"{value:g}", f"{title(metric)}, {split}")


def _ours(findings: Findings, published: Published) -> Value:
    """Our mean score on all original rows. Several scores stand side by side where an axis is not named."""
    if published.method is None:
        return EMPTY
    split, metric = published.our_split or findings.main(published.task)[1], published.metric
    wanted = published.model_dump(include={"teacher", "method", "student"}, exclude_none=True) | DEFAULTS
    lines = [line for line in findings.of(published.task) if wanted.items() <= line.labels.items()]
    known = [line for line in lines if metric in line.facts["validation"].get(split, {})]
    means = [display.of_models(line, line.values(split, metric), scoring(metric)) for line in known]
    notes = (f"{line.name}, {split}, {mean.note}" for line, mean in zip(known, means, strict=True))
    return (
        Value(f" {wording.DOT} ".join(mean.text for mean in means), f" {wording.DOT} ".join(notes)) if means else EMPTY
    )


def _set_ups(findings: Findings, listed: list[Published]) -> str:
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
        f"Certainty: how well the number is known. {display.constant_caption(findings.lines)}"
    ).rstrip()
