"""Copies of finished reports under fixed names, for DVC and readers."""

from pathlib import Path

from distilgrid.core.artefacts import is_complete, readable_os_errors, verified, write_changed
from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.plan.expand import TABLE, Plan
from distilgrid.reporting.claims.papers import papers

PUBLISHED = ("report.html", "table.csv", "metrics.json", "curves.csv")


def publish(*, plan: Plan, results: Path) -> Path:
    """Copy the report of a plan to `results/latest`, and return the path of the page.

    Files appear atomically, and equal ones are not touched. Folders of stages that the grid does not need are made,
    too, so that DVC finds all outputs of `dvc.yaml`.

    Raises:
        UserError: when the report is not made yet, is damaged, or the folder cannot be written.
    """
    source, target = results / plan.report.folder, results / "latest"
    if not is_complete(source):
        raise UserError(f"{source}: the report of grid '{plan.params.grid.name}' is not made yet; run the grid first")
    verified(source, stage="report", only=PUBLISHED)
    with readable_os_errors(target):
        for folder in (target, *(results / stage.folder for stage in load(TABLE).values())):
            folder.mkdir(parents=True, exist_ok=True)
        for name in PUBLISHED:
            write_changed(target / name, _moved(name, (source / name).read_bytes()))
    return target / "report.html"


def publish_papers(results: Path) -> list[Path]:
    """Write a page for each paper that finished grids reproduce, `papers/<title>.html`, and return the paths.

    Raises:
        UserError: when no report is one of a paper, one is damaged, or the folder cannot be written.
    """
    from distilgrid.stages.report.page import render_paper

    written = []
    for paper in papers(results):
        target = results / "papers" / f"{paper.slug}.html"
        with readable_os_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_changed(target, render_paper(paper).encode())
        written.append(target)
    return written


def _moved(name: str, content: bytes) -> bytes:
    """The file for `latest`, which is one folder nearer to the targets of its links than `reports/<grid>`."""
    return content.replace(b'href="../../', b'href="../') if name == "report.html" else content
