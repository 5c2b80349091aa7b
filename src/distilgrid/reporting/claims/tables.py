"""Claims with verdicts, and published numbers with ours, as tables and as plain values."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from distilgrid.reporting import display, wording
from distilgrid.reporting.claims.judge import Judgement, Result
from distilgrid.reporting.claims.measure import Measure
from distilgrid.reporting.claims.published_table import published_json, published_table
from distilgrid.reporting.claims.schema import LATENCY, MAIN, Claim, ClaimsFile
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.table import Column, Table, Value

TONES = {"confirmed": "better", "refuted": "worse"}
MANY_SEEDS = 1000


def claims_table(findings: Findings, file: ClaimsFile, *, judged: Sequence[Judgement]) -> Table:
    """Each claim with its source, and its effect and verdict over all tasks and for each task."""
    rows: list[list[Value]] = []
    groups: set[int] = set()
    confidence = findings.collected.plan.params.report.confidence
    for judgement in judged:
        groups.add(len(rows))
        rows += _claim_rows(judgement, confidence)
    columns = [Column(title, number=False) for title in ("claim", "source", "certainty", "task")]
    columns += [Column("effect", f"{wording.level(confidence)} CI"), Column("verdict", number=False)]
    return Table(f"Claims of {file.paper.title} ({file.paper.year})", _caption(findings, file), columns, rows, groups)


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

    Without a file, the entries are empty.
    """
    return {
        "paper": file.paper.model_dump() if file else None,
        "claims": [_plain(judgement) for judgement in judged],
        "published": published_json(findings, file) if file else [],
    }


def _caption(findings: Findings, file: ClaimsFile) -> str:
    parts = [
        f"{file.paper.url}. Certainty: how well it is known that the paper says so.",
        "Effect: the first side less the second, mean over seeds and matched cells; in points where no unit is named.",
        "Intervals cover the choice of seeds and of validation rows, not the teacher, which is one run. A star marks "
        "what is still clear when p-values are corrected for all results of these claims (Holm 1979).",
    ]
    if len(findings.collected.plan.params.grid.seeds) == 1:
        parts[-1] = (
            "One seed only: intervals cover the choice of validation rows, not of seeds; another seed may decide "
            "otherwise. A star marks what is still clear when corrected for all results of these claims (Holm 1979)."
        )
    return " ".join(parts)


def _claim_rows(judgement: Judgement, confidence: float) -> list[list[Value]]:
    claim = judgement.claim
    rows = [
        [
            Value(result.tasks[0] if len(result.tasks) == 1 else f"mean of {len(result.tasks)} tasks", _metric(claim)),
            _effect(judgement.measure, result),
            Value(result.verdict + _star(result, confidence), reason(claim, result), tone=_tone(result)),
        ]
        for result in judgement.results
    ]
    if judgement.missing:
        rows.append([display.EMPTY, display.EMPTY, Value("not in this grid", f"no {', no '.join(judgement.missing)}")])
    heads = [[Value(claim.id, claim.claim), Value(claim.source), Value(claim.certainty)]]
    heads += [[Value("")] * 3] * (len(rows) - 1)
    return [[*head, *row] for head, row in zip(heads, rows, strict=True)]


def _metric(claim: Claim) -> str:
    """The metric if it is not the score, and the direction if less is claimed."""
    parts = [] if claim.metric == MAIN else [claim.metric]
    return ", ".join(parts + (["less is claimed"] if claim.direction == "lower" else []))


def _star(result: Result, confidence: float) -> str:
    """A star for a verdict that stays clear among all results of the claims."""
    return wording.SURE if _tone(result) and result.adjusted is not None and result.adjusted <= 1 - confidence else ""


def _tone(result: Result) -> str:
    return TONES.get(result.verdict, "")


def _effect(measure: Measure, result: Result) -> Value:
    text, count = measure.effect(result.effect), f"n={result.seeds}"
    if result.low is None or result.high is None:
        return Value(text, count)
    return Value(text, f"{measure.bounds(result.low, result.high)}, {count}")


def reason(claim: Claim, result: Result) -> str:
    """A remark on a verdict: what a clearer one needs, or what its interval leaves out."""
    if result.low is None:
        return "measured too briefly" if claim.metric.startswith(LATENCY) else "one seed: no interval is known"
    if result.covers == "rows":
        return "one seed: the interval covers rows only"
    if result.rows_too_few:
        return "too few validation rows for an effect of this size, whatever the number of seeds"
    if result.seeds_needed is not None:
        number = f"over {MANY_SEEDS:,}" if result.seeds_needed > MANY_SEEDS else f"about {result.seeds_needed:,}"
        return f"{number} seeds needed if the effect stays as it is"
    if result.verdict != "not enough evidence":
        return ""
    return f"the effect is within the minimum of {claim.minimum:g} {claim.unit}" if claim.minimum else "no effect"


def _plain(judgement: Judgement) -> dict[str, Any]:
    claim = judgement.claim
    before, after = {"id", "claim", "source", "certainty", "metric", "unit"}, {"minimum"}
    return {
        **claim.model_dump(include=before),
        "direction": judgement.measure.direction,
        **claim.model_dump(include=after),
        "verdict": judgement.verdict,
        "missing": list(judgement.missing),
        "results": [_plain_result(judgement.measure, result) for result in judgement.results],
    }


def _plain_result(measure: Measure, result: Result) -> dict[str, Any]:
    numbers = {"effect": result.effect, "low": result.low, "high": result.high}
    return {
        "tasks": list(result.tasks),
        "verdict": result.verdict,
        **{name: None if value is None else measure.scale * value for name, value in numbers.items()},
        "covers": result.covers,
        "seeds": result.seeds,
        "pairs": result.pairs,
        "seeds_needed": result.seeds_needed,
        "rows_too_few": result.rows_too_few,
        "p": result.p,
        "p_holm": result.adjusted,
    }
