"""Report section on architecture searches: their cost, their results and the worth of their estimates."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distilgrid.reporting import display, wording
from distilgrid.reporting.collect import Searched
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.scoring import Scoring
from distilgrid.reporting.searches import cost_minutes, searched
from distilgrid.reporting.section import Section
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.search.ranks import FEWEST, kendalls_tau, tau_bounds
from distilgrid.search.report.plots import front_plot, limit_of, rewards_plot, shapes_plot

SECONDS = 60.0


def searches_table(findings: Findings, task: str) -> Table | None:
    """A line for each search: trials, cost and best architecture; None without any search."""
    found = searched(findings, task)
    if not found:
        return None
    columns = [
        Column("search", number=False),
        Column("trials", "architectures"),
        Column("minutes", "of estimates"),
        Column("best reward"),
        Column("best architecture", "of the first seed", number=False),
        Column("latency", "ms"),
        Column("dev score", "as estimated"),
        Column("parameters", "of its layers"),
    ]
    scoring = findings.scoring(task)
    highest = max(_best_reward(runs) for runs in found.values())
    rows = [_row(name, runs, scoring, best=_best_reward(runs) == highest) for name, runs in found.items()]
    return Table(f"{task}: architecture search", _caption(found), columns, rows)


def _row(name: str, runs: Sequence[Searched], scoring: Scoring, *, best: bool) -> list[Value]:
    first = runs[0].best[0]
    tried = statistics.fmean(run.values["cost"]["architectures"] for run in runs)
    minutes = statistics.fmean(cost_minutes(run) for run in runs)
    rewards = [run.best[0]["reward"] for run in runs]
    spread = f"{wording.PLUS_MINUS} {statistics.stdev(rewards):.4f}, n={len(runs)}" if len(runs) > 1 else ""
    return [
        Value(name, runs[0].values["controller"]),
        Value(f"{len(runs[0].frame)}", f"{tried:.0f}"),
        Value(f"{minutes:.1f}"),
        Value(f"{statistics.fmean(rewards):.4f}", spread, best=best),
        Value(first["name"]),
        Value(wording.milliseconds(first["latency_ms"])),
        Value(scoring.score(first["score"])) if math.isfinite(first["score"]) else display.EMPTY,
        Value(wording.count(first["parameters"])),
    ]


def _best_reward(runs: Sequence[Searched]) -> float:
    return statistics.fmean(run.best[0]["reward"] for run in runs)


def _caption(found: dict[str, list[Searched]]) -> str:
    one = next(iter(found.values()))[0]
    teacher = wording.milliseconds(one.values["teacher"]["latency_ms"])
    space = one.values["space"]
    size = f"{'' if space['counted'] else 'up to '}{space['size']:,}"
    return (
        f"Each search proposes as many candidates; one that it proposes again costs nothing. The space holds {size} "
        f"architectures, the teacher takes {teacher} ms. Rewards are comparable between searches of the same reward "
        f"only.{best_caption(found)}"
    )


def best_caption(found: Mapping[str, Sequence[Searched]]) -> str:
    """Sentence about the latency limits of searches; empty where none has one."""
    limits = sorted({limit for runs in found.values() if (limit := limit_of(runs)) is not None})
    if not limits:
        return ""
    listed = ", ".join(f"{wording.milliseconds(limit)} ms" for limit in limits)
    return f" Best are those within the latency limit ({listed}), which is also a part of the reward."


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
    confidence = findings.collected.plan.params.report.confidence
    level = wording.level(confidence)
    for name, runs in searched(findings, task).items():
        for method in findings.collected.plan.params.grid.methods:
            found = agreement(runs, distilled(findings, task, method, teacher=runs[0].artefact.labels["teacher"]))
            if found is not None:
                rows.append(_agreement_row(name, runs[0], method, found, confidence))
    if not rows:
        return None
    columns = [
        Column("search", "its estimator", number=False),
        Column("distilled by", number=False),
        Column("architectures"),
        Column("Kendall's tau", f"{level} CI"),
        Column("Kendall's tau", f"of the loss, {level} CI"),
        Column("an estimate", "seconds"),
        Column("a full distillation", "seconds"),
        Column("a whole search", "of all in full"),
    ]
    caption = (
        "Rank correlation between the quality that a search estimated and the dev score after full distillation (mean "
        f"over seeds), over architectures that were both. Intervals cover the choice of architectures (Fieller et al. "
        f"1957, approximate), not the seeds of their training; searches that share fewer than {FEWEST} are left out. A "
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
    scores = [
        statistics.fmean(model.metrics["dev"][model.metrics["score_name"]] for model in lines[name].models)
        for name in shared
    ]
    quality, loss = ([sign * trials[name][what] for name in shared] for what, sign in (("quality", 1), ("loss", -1)))
    estimated = statistics.fmean(trials[name]["seconds"] for name in shared)
    full = statistics.fmean(model.run["seconds"] for name in shared for model in lines[name].models)
    shares = [SECONDS * cost_minutes(run) / (run.values["cost"]["architectures"] * full) for run in runs]
    of_quality, of_loss = kendalls_tau(quality, scores), kendalls_tau(loss, scores)
    return Agreement(len(shared), of_quality, of_loss, estimated, full, statistics.fmean(shares))


def _tau_value(tau: float | None, count: int, confidence: float) -> Value:
    if tau is None:
        return display.EMPTY
    low, high = tau_bounds(tau, count, confidence)
    return Value(f"{tau:.2f}", f"[{low:.2f},{wording.NO_BREAK}{high:.2f}]".replace("-", wording.MINUS))


def _agreement_row(name: str, run: Searched, method: str, found: Agreement, confidence: float) -> list[Value]:
    return [
        Value(name, run.values["estimator"]),
        Value(method),
        Value(str(found.architectures)),
        *(_tau_value(tau, found.architectures, confidence) for tau in (found.tau, found.tau_loss)),
        Value(f"{found.estimate_seconds:.1f}"),
        Value(f"{found.distilled_seconds:.1f}"),
        Value(f"1/{1 / found.share:.0f}"),
    ]


class SearchSection(Section):
    """Results and costs of searches, and the worth of their estimates."""

    title = "Architecture search"

    def applies(self, findings: Findings, task: str) -> bool:
        """For tasks with searches."""
        return bool(searched(findings, task))

    def tables(self, findings: Findings, task: str) -> list[Table]:
        """Searches, then estimates compared with full distillation."""
        tables = searches_table(findings, task), estimates_table(findings, task)
        return [table for table in tables if table]

    def plots(self, findings: Findings, task: str) -> list[Plot]:
        """Rewards over trials, trials against latency, architectures."""
        found = searched(findings, task)
        return [rewards_plot(task, found), front_plot(task, found), shapes_plot(task, found)] if found else []


SECTION = SearchSection()
