"""Papers, with the newest report of each grid that reproduces them. Light: no torch."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import RUN, read_json, verified
from distilgrid.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

READ = ("report.html", "table.csv", "claims.json", "compute.json")


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
    import pandas as pd

    last: dict[str, tuple[str, Path]] = {}
    for path in sorted(results.glob(f"reports/*/{RUN}")):
        run = read_json(path)
        if set(READ) <= set(run["files"]):
            grid = run["labels"]["grid"]
            last[grid] = max(last.get(grid, ("", path.parent)), (run["started"], path.parent))
    for grid, (started, folder) in sorted(last.items()):
        verified(folder, stage="report", only=READ)
        claims = read_json(folder / "claims.json")
        if claims["paper"]:
            table = pd.read_csv(folder / "table.csv", keep_default_na=False, na_values=[""])
            yield Reported(grid, folder, started, claims, read_json(folder / "compute.json"), table)
