"""Agreement between the estimates of searches and full distillation."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distilgrid.reporting import display
from distilgrid.reporting.collect import Searched
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.searches import cost_minutes, searched
from distilgrid.reporting.table import Column, Table, Value

SECONDS = 60.0
FEWEST = 5  # architectures below which a rank correlation says nothing


@dataclass(frozen=True)
class Agreement:
    """A search's estimates against full distillation."""

    architectures: int  # architectures that were both estimated and distilled
    tau: float | None  # Kendall's tau of estimated quality and dev score; None where all of either are equal
    tau_loss: float | None  # the same for the estimated loss, lower is better
    estimate_seconds: float  # mean cost of an estimate
    distilled_seconds: float  # mean cost of distilling one in full, over seeds
    share: float  # cost of a whole search with preparation, relative to distilling all its candidates


def estimates_table(findings: Findings, task: str) -> Table | None:
    """A line for each search and method that share enough architectures; None without any."""
    rows = []
    for name, runs in searched(findings, task).items():
        for method in findings.collected.plan.params.grid.methods:
            found = agreement(runs, distilled(findings, task, method, teacher=runs[0].artefact.labels["teacher"]))
            if found is not None:
                rows.append(_row(name, runs[0], method, found))
    if not rows:
        return None
    columns = [
        Column("search", "its estimator", number=False),
        Column("distilled by", number=False),
        Column("architectures"),
        Column("Kendall's tau"),
        Column("Kendall's tau", "of the loss"),
        Column("an estimate", "seconds"),
        Column("a full distillation", "seconds"),
        Column("a whole search", "of all in full"),
    ]
    caption = (
        "Rank correlation between the quality that a search estimated and the dev score after full distillation (mean "
        f"over seeds), over architectures that were both; searches that share fewer than {FEWEST} are left out. A "
        "whole search: its estimates and what they need, such as a supernet, against distilling all that it tried."
    )
    return Table(f"{task}: what estimates are worth", caption, columns, rows)


def distilled(findings: Findings, task: str, method: str, *, teacher: str) -> dict[str, Line]:
    """Students of a method with shapes that searches found, by the name of their architecture."""
    students = findings.collected.plan.params.students
    found: dict[str, Line] = {}
    wanted = {"task": task, "method": method, "teacher": teacher}
    for line in findings.of(task):
        student = students.get(line.labels["student"])
        if student is None or student.found is None or not wanted.items() <= line.labels.items():
            continue
        place = {"task": task, "teacher": teacher, "search": student.found.search, "seed": student.found.seed}
        search = next(each for each in findings.collected.searches if place.items() <= each.artefact.labels.items())
        found.setdefault(search.best[student.found.rank - 1]["name"], line)
    return found


def agreement(runs: Sequence[Searched], lines: Mapping[str, Line]) -> Agreement | None:
    """Agreement of a search's estimates with full distillation; None for too few architectures."""
    trials = {row["name"]: row for run in runs for row in run.frame.to_dict("records") if not row["repeated"]}
    shared = [name for name in trials if name in lines]
    if len(shared) < FEWEST:
        return None
    scores = [statistics.fmean(_dev(model.metrics) for model in lines[name].models) for name in shared]
    quality, loss = ([sign * trials[name][what] for name in shared] for what, sign in (("quality", 1), ("loss", -1)))
    estimated = statistics.fmean(trials[name]["seconds"] for name in shared)
    full = statistics.fmean(model.run["seconds"] for name in shared for model in lines[name].models)
    shares = [SECONDS * cost_minutes(run) / (run.values["cost"]["architectures"] * full) for run in runs]
    return Agreement(len(shared), _tau(quality, scores), _tau(loss, scores), estimated, full, statistics.fmean(shares))


def _tau(estimates: Sequence[float], scores: Sequence[float]) -> float | None:
    from scipy.stats import kendalltau

    tau = float(kendalltau(estimates, scores).statistic)
    return None if math.isnan(tau) else tau


def _dev(metrics: Mapping[str, object]) -> float:
    scores = metrics["dev"]
    assert isinstance(scores, Mapping)
    return float(scores[metrics["score_name"]])


def _row(name: str, run: Searched, method: str, found: Agreement) -> list[Value]:
    return [
        Value(name, run.values["estimator"]),
        Value(method),
        Value(str(found.architectures)),
        *(display.EMPTY if tau is None else Value(f"{tau:.2f}") for tau in (found.tau, found.tau_loss)),
        Value(f"{found.estimate_seconds:.1f}"),
        Value(f"{found.distilled_seconds:.1f}"),
        Value(f"1/{1 / found.share:.0f}"),
    ]
