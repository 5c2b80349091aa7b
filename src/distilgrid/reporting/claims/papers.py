"""Papers, with the newest report of each grid that reproduces them, and the tables of their pages. Light: no torch."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import RUN
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_finished
from distilgrid.reporting import wording
from distilgrid.reporting.budgets import EVEN, OTHER_SIDE, Budget
from distilgrid.reporting.claims.tables import BUDGETS, TONES, number_value
from distilgrid.reporting.display import EMPTY
from distilgrid.reporting.intervals import FEWEST_SEEDS
from distilgrid.reporting.noted import sentences
from distilgrid.reporting.scoring import scoring
from distilgrid.reporting.table import Column, Table, Value

if TYPE_CHECKING:
    import pandas as pd

READ = ("report.html", "table.csv", "claims.json", "compute.json")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Reported:
    """A grid's report: its folder, its time, and its `claims.json`, `compute.json` and `table.csv`."""

    grid: str
    folder: Path
    started: str
    claims: Mapping[str, Any]
    compute: Mapping[str, Any]
    table: "pd.DataFrame"


@dataclass(frozen=True)
class PaperReports:
    """A paper and the grids that reproduce it, by name."""

    title: str
    year: int
    url: str
    reports: list[Reported]

    @property
    def slug(self) -> str:
        """The title as a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:60].rstrip("-")

    @property
    def footnote(self) -> str:
        """The notes on the teachers of the grids; equal ones come once. Reports of older versions have none."""
        notes = [item for each in self.reports for item in each.claims.get("notes", {}).items()]
        return " ".join(sentences({name: note}) for name, note in dict.fromkeys(notes))


def papers(results: Path) -> list[PaperReports]:
    """The papers of the reports in a results folder.

    Raises:
        UserError: without a report of a paper, or when one is damaged.
    """
    found: dict[tuple[str, int, str], list[Reported]] = {}
    for reported in _newest(results):
        paper = reported.claims["paper"]
        found.setdefault((paper["title"], paper["year"], paper["url"]), []).append(reported)
    if not found:
        raise UserError(
            f"{results / 'reports'}: no report of a paper; run a grid that names its claims (report.claims), "
            "such as grids/mixkd_mini.yaml"
        )
    return [PaperReports(*about, reports) for about, reports in found.items()]


def _newest(results: Path) -> Iterator[Reported]:
    """The last report of each grid that has a paper. Reports of older versions lack files and are left out."""
    last: dict[str, tuple[str, Path]] = {}
    for path in sorted(results.glob(f"reports/*/{RUN}")):
        run = open_finished(path.parent, stage="report", only=()).run
        if set(READ) <= set(run["files"]):
            grid = run["labels"]["grid"]
            last[grid] = max(last.get(grid, ("", path.parent)), (run["started"], path.parent))
    for grid, (started, folder) in sorted(last.items()):
        found = open_finished(folder, stage="report", only=READ)
        claims = found.json("claims.json")
        if claims["paper"]:
            yield Reported(grid, folder, started, claims, found.json("compute.json"), found.table("table.csv"))


def paper_tables(paper: PaperReports) -> list[Table]:
    """The tables of claims, published numbers, comparisons and costs that have rows, with notes on teachers."""
    scores = [verdicts(paper), published(paper), comparisons(paper)]
    noted = [replace(table, caption=f"{table.caption} {paper.footnote}".rstrip()) for table in scores]
    return [table for table in (*noted, costs(paper)) if table.rows]


def verdicts(paper: PaperReports) -> Table:
    """A row for each claim, with the verdict and effect of each grid."""
    judged = [{claim["id"]: claim for claim in each.claims["claims"]} for each in paper.reports]
    decided = [_decided(each) for each in paper.reports]
    rows = []
    for name, claim in _first(judged).items():
        about = [Value(name, claim["claim"]), Value(claim["source"], claim["certainty"])]
        shown = (_verdict(own.get(name), looks.get(name)) for own, looks in zip(judged, decided, strict=True))
        rows.append([*about, *shown])
    joint: list[dict[Any, Record]] = [
        {claim["id"]: {**claim, **_decided(each, "joint").get(claim["id"], {})} for claim in each.claims["joint"]}
        for each in paper.reports
    ]
    for name, claim in _first(joint).items():
        about = [Value(name, claim["claim"]), Value(claim["source"], claim["certainty"])]
        rows.append([*about, *(_joint_verdict(claims.get(name)) for claims in joint)])
    columns = [Column("claim", number=False), Column("source", "certainty", number=False)]
    columns += [Column(each.grid, "verdict and effect", number=False) for each in paper.reports]
    covers = (result["covers"] for claims in judged for claim in claims.values() for result in claim["results"])
    caption = (
        f"Each grid judges the claims by its own cells (docs/claims.md). {wording.claim_intervals(covers)} Where a "
        "grid has several tasks, this is their mean; single tasks stand in its report. Verdicts are those of each "
        "claim's own interval; p and the corrected verdict are corrected for all results of the claims in that grid "
        "(Holm 1979). Where seeds were added for a claim, verdict and interval are those over all looks. A joint claim "
        "is confirmed when all of its parts are."
    )
    unequal = any(each.get("budget") for claims in judged for c in claims.values() for each in c["results"][:1])
    return Table("Claims", f"{caption} {BUDGETS}" if unequal else caption, columns, rows)


def published(paper: PaperReports) -> Table:
    """A row for each published number, with our number of each grid."""
    axes = ("task", "model", "metric", "split", "source")
    listed = [{tuple(row[axis] for axis in axes): row for row in each.claims["published"]} for each in paper.reports]
    rows = []
    for key, row in _first(listed).items():
        about = [Value(row["task"]), Value(row["model"]), number_value(row["value"], row["metric"], row["split"])]
        about.append(Value(row["source"], row["certainty"]))
        ours = [found.get(key, {}).get("ours") for found in listed]
        rows.append([*about, *(Value(each["text"], each["note"]) if each else EMPTY for each in ours)])
    columns = [Column(title, number=title == "published") for title in ("task", "model", "published", "source")]
    columns += [Column(each.grid, "ours") for each in paper.reports]
    caption = (
        "Published numbers are those of other models and splits, as printed. Ours are of the models and splits in "
        "small print. Each grid's report says what else differs."
    )
    failed = any(wording.CONSTANT in value.note for row in rows for value in row[4:])
    return Table(
        "Published numbers and ours", f"{caption} {wording.CONSTANT_MODELS}" if failed else caption, columns, rows
    )


def _first(listed: Iterable[dict[Any, Record]]) -> dict[Any, Record]:
    """Each record once, in the order of the grids."""
    return functools.reduce(lambda known, more: known | more | known, listed)


def comparisons(paper: PaperReports) -> Table:
    """A row for each comparison with a baseline: interval, p-value and corrected p-value."""
    rows: list[list[Value]] = []
    groups: set[int] = set()
    for each in paper.reports:
        compared = each.table[_is_compared(each.table)]
        groups |= {len(rows)} if len(compared) else set()
        rows += [_comparison(each.grid, row) for row in compared.to_dict("records")]
    columns = [*(Column(title, number=False) for title in ("grid", "task", "model")), Column("score")]
    columns += [Column("difference", "to"), *map(Column, ("interval", "p", "p, Holm"))]
    if all(row[-1].text in (wording.DASH, EVEN.words(against="")) for row in rows):
        rows = [row[:-1] for row in rows]
    else:
        columns.append(Column("steps", "to those of the baseline"))
    caption = (
        f"{wording.INTERVALS}; p-values are then corrected for all comparisons of the grid (Holm 1979). One seed has "
        f"neither. {wording.CONSTANT_MODELS} They and what they taught are not compared. Colours mark what is clear "
        f"with at least {FEWEST_SEEDS} seeds after the correction. Where training budgets differ, a column has the "
        "ratio of optimiser steps, and of what was read in them if that is another."
    )
    if any(each.claims.get("decided") for each in paper.reports):
        caption += f" Where seeds were added for claims, intervals and colours {wording.ONE_LOOK}."
    return Table("Significance", caption, columns, rows, groups)


def _is_compared(table: "pd.DataFrame") -> "pd.Series[bool]":
    """The rows with a difference, or a reason why it is left out, which reports of older versions lack."""
    known = table["difference"].notna()
    return known | table["left_out"].notna() if "left_out" in table else known


def costs(paper: PaperReports) -> Table:
    """The costs of each grid."""
    rows = []
    for each in paper.reports:
        total = each.compute["stages"][-1]
        spent = [
            wording.duration(total["seconds"]),
            wording.duration(total["cpu_seconds"]) if total["known"] else wording.DASH,
            wording.DASH if total["energy_j"] is None else f"{total['energy_j'] / 3600:,.1f}",
        ]
        rows.append([Value(each.grid), Value(f"{total['artefacts']:,}"), *map(Value, spent)])
    columns = [Column("grid", number=False), *map(Column, ("artefacts", "time", "processor time", "energy, Wh"))]
    return Table("Compute spent", "Known costs of all jobs behind a report.", columns, rows)


def _decided(reported: Reported, entry: str = "decisions") -> Mapping[str, Any]:
    """The claims, or the joint ones, that a grid decided by more seeds, by id: those with a look."""
    listed = (reported.claims.get("decided") or {}).get(entry, ())
    return {each["id"]: each for each in listed if each.get("looks", True)}


def _verdict(claim: Mapping[str, Any] | None, decided: Mapping[str, Any] | None) -> Value:
    """A claim's verdict in a grid: the sequential one, where seeds were added for it."""
    if claim is None or not claim["results"]:
        lacking = claim["missing"] if claim else ()
        return Value("not in this grid", f"no {', no '.join(lacking)}" if lacking else "")
    if decided is not None:
        return _sequential_verdict(decided)
    result = claim["results"][0]
    note = f"{wording.digits(result['effect'], '+')} {claim['unit']}"
    if result["low"] is not None:
        note += f" {wording.plain_bounds(result['low'], result['high'])}"
    over = result["tasks"][0] if len(result["tasks"]) == 1 else f"{len(result['tasks'])} tasks"
    note += "" if result["p_holm"] is None else f", p={result['p_holm']:.2g}"
    note += f", corrected: {result['corrected']}"
    note += f", steps {Budget(**spent).words(against=OTHER_SIDE)}" if (spent := result.get("budget")) else ""
    return Value(result["verdict"], f"{note}, n={result['seeds']}, {over}", tone=TONES.get(result["verdict"], ""))


def _sequential_verdict(decided: Mapping[str, Any]) -> Value:
    look = decided["looks"][-1]
    note = f"{wording.digits(look['effect'], '+')} {decided['unit']}"
    if look["low"] is not None:
        note += f" {wording.plain_bounds(look['low'], look['high'])}"
    note += f", corrected: {decided['corrected']}, {wording.plural(len(decided['looks']), 'look')}, n={look['seeds']}"
    return Value(decided["verdict"], note, tone=TONES.get(decided["verdict"], ""))


def _joint_verdict(claim: Mapping[str, Any] | None) -> Value:
    if claim is None:
        return Value("not in this grid")
    note = f"{' and '.join(claim['of'])}, corrected: {claim['corrected']}"
    return Value(claim["verdict"], note, tone=TONES.get(claim["verdict"], ""))


def _comparison(grid: str, row: Mapping[Any, Any]) -> list[Value]:
    deviation, shown = row["score_std"], scoring(row["metric"])
    spread = f"{wording.PLUS_MINUS} {shown.score(deviation)}, " if deviation == deviation else ""
    failed = f", {row['constant']} {wording.CONSTANT}" if row.get("constant") else ""
    about = [
        Value(grid),
        Value(row["task"], row["split"]),
        Value(row["method"], _name(row)),
        Value(shown.score(row["score"]), f"{spread}n={row['seeds']}{failed}"),
    ]
    if row["difference"] != row["difference"]:
        return [*about, Value(wording.DASH, row["left_out"]), *[EMPTY] * 3, _budget(row)]
    low, high = row["ci_low"], row["ci_high"]
    known = low == low  # a missing value is NaN
    tone = "" if not row["sure"] else "better" if shown.merit(row["difference"]) > 0 else "worse"
    return [
        *about,
        Value(shown.signed(row["difference"]), row["baseline"], tone=tone),
        Value(shown.bounds(low, high), wording.level(row["confidence"])) if known else Value(wording.DASH, "one seed"),
        *(Value(f"{row[name]:.3g}") if known else Value(wording.DASH) for name in ("p", "p_holm")),
        _budget(row),
    ]


def _budget(row: Mapping[Any, Any]) -> Value:
    """The ratio of the training budgets; reports of older versions have none."""
    if "steps_to_baseline" not in row:
        return EMPTY
    return Value(Budget(row["steps_to_baseline"], row["reads_to_baseline"]).words(against=""))


def _name(row: Mapping[Any, Any]) -> str:
    """The student, with the axes that differ from their defaults."""
    parts = [row["student"], *([row["augmentation"]] if row["augmentation"] != "none" else [])]
    parts += [wording.percent(row["fraction"])] if row["fraction"] != 1 else []
    return ", ".join(map(str, parts))
