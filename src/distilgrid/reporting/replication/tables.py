"""Sequential verdicts as a table and as plain values."""

from dataclasses import replace
from typing import Any

from distilgrid.reporting import wording
from distilgrid.reporting.claims.judge import JointJudgement, judge_joint
from distilgrid.reporting.claims.schema import LATENCY, MAIN, POINTS, Claim, ClaimsFile
from distilgrid.reporting.claims.tables import TONES
from distilgrid.reporting.display import EMPTY
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.replication.looks import InterimLook, SequentialVerdict
from distilgrid.reporting.replication.requests import Requested
from distilgrid.reporting.table import Column, Table, Value


def decisions_table(findings: Findings, file: ClaimsFile, found: Requested) -> Table:
    """A row for each look at each claim, so that the interval can be seen to shrink; then the joint claims."""
    rows: list[list[Value]] = []
    groups: set[int] = set()
    for decision in found.decisions:
        groups.add(len(rows))
        rows += _rows(decision)
    for joint in judge_joint(file, found.decisions):
        groups.add(len(rows))
        rows.append(_joint_row(joint))
    level = wording.level(findings.collected.plan.params.report.confidence)
    columns = [
        Column("claim", number=False),
        Column("seeds"),
        Column("effect", f"{level} CI over all looks"),
        Column("level", "of the look"),
        Column("verdict", number=False),
        Column("corrected", "for all claims here", number=False),
    ]
    return Table("Claims, decided by more seeds", _caption(findings, found), columns, rows, groups)


def _caption(findings: Findings, found: Requested) -> str:
    settings = findings.collected.plan.params.report.decide
    assert settings is not None, "claims are decided where the report says so"
    covers = (_covers(decision.claim) for decision in found.decisions if decision.looks)
    return (
        f"Seeds are added where a claim is undecided, at most {settings.max_seeds}. Each row is a look at the seeds so "
        "far. Levels share the error rate by alpha spending (Lan & DeMets 1983, Pocock's type), and intervals are "
        "repeated confidence intervals (Jennison & Turnbull 1989): verdicts may be read at any look. "
        f"{wording.claim_intervals(covers)} Negligible: the "
        "whole interval lies within the margin on both sides. The corrected verdict holds at levels divided by the "
        f"number of claims. Added jobs took {found.hours:.1f} of {settings.max_hours:g} h. The other table of claims "
        "judges all seeds as if there were one look."
    )


def _covers(claim: Claim) -> str:
    """The variation within the intervals of a claim: as `EffectEstimate.covers` says for more than one seed."""
    if claim.metric.startswith(LATENCY):
        return "measuring"
    return "seeds and rows" if claim.metric == MAIN else "seeds"


def _rows(decision: SequentialVerdict) -> list[list[Value]]:
    rows = []
    for number, look in enumerate(decision.looks):
        last = number == len(decision.looks) - 1
        corrected = Value(decision.corrected, tone=TONES.get(decision.corrected, "")) if last else Value("")
        verdict = _verdict(look.verdict)
        if look.verdict == "negligible":
            verdict = replace(verdict, note=f"within {wording.PLUS_MINUS} {decision.margin:g} {decision.claim.unit}")
        rows.append([Value(str(look.seeds)), _effect(decision, look), _level(look), verdict, corrected])
    if decision.wanted is not None:
        rows.append([Value(str(decision.wanted)), EMPTY, EMPTY, Value("to be run"), Value("")])
    elif decision.stopped:
        state = "stopped" if decision.looks else decision.verdict
        rows.append([Value(""), EMPTY, EMPTY, Value(state, decision.stopped), Value("")])
    return [[Value(decision.claim.id, decision.claim.claim) if n == 0 else Value(""), *r] for n, r in enumerate(rows)]


def _verdict(verdict: str) -> Value:
    return Value(verdict, tone=TONES.get(verdict, ""))


def _level(look: InterimLook) -> Value:
    return EMPTY if look.level is None else Value(f"{look.level:.2g}")


def _effect(decision: SequentialVerdict, look: InterimLook) -> Value:
    """The effect with its interval, in points or in the claim's unit."""
    scoring, unit = decision.scoring, decision.claim.unit
    text = scoring.signed(look.effect) if unit == POINTS else f"{wording.digits(look.effect, '+')} {unit}"
    if look.low is None or look.high is None:
        return Value(text)
    return Value(text, (scoring.bounds if unit == POINTS else wording.plain_bounds)(look.low, look.high))


def _joint_row(joint: JointJudgement) -> list[Value]:
    parts = "; ".join(f"{part.claim.id}: {part.verdict}" for part in joint.parts)
    verdicts = [_verdict(joint.verdict), _verdict(joint.corrected)]
    return [Value(joint.claim.id, joint.claim.claim), Value("", parts), EMPTY, EMPTY, *verdicts]


def decisions_json(file: ClaimsFile, found: Requested) -> dict[str, Any]:
    """The decisions with effects in the claims' units, and the replications of the next round."""
    return {
        "decisions": [_plain(decision) for decision in found.decisions],
        "joint": [
            {"id": joint.claim.id, "verdict": joint.verdict, "corrected": joint.corrected}
            for joint in judge_joint(file, found.decisions)
        ],
        "replications": [each.model_dump(mode="json", exclude_none=True) for each in found.replications],
        "hours": found.hours,
        "more_hours": found.more_hours,
    }


def _plain(decision: SequentialVerdict) -> dict[str, Any]:
    scale = decision.scoring.scale
    return {
        "id": decision.claim.id,
        "unit": decision.claim.unit,
        "margin": decision.margin,
        "verdict": decision.verdict,
        "corrected": decision.corrected,
        "wanted": decision.wanted,
        "stopped": decision.stopped,
        "looks": [
            {
                "seeds": look.seeds,
                "effect": scale * look.effect,
                "low": None if look.low is None else scale * look.low,
                "high": None if look.high is None else scale * look.high,
                "level": look.level,
                "verdict": look.verdict,
            }
            for look in decision.looks
        ],
    }
