"""Stage `report`: the tables, the plots and the page of a finished grid."""

from pathlib import Path

from distilgrid.artefacts import write_json, writing
from distilgrid.errors import UserError
from distilgrid.grid import Plan
from distilgrid.reporting import data
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import find
from distilgrid.reporting.table import latex, markdown
from distilgrid.reporting.tables import main_table, other_table, paper_table


def report(*, plan: Plan, results: Path, out: Path) -> None:
    """Write `report.html`, `table.md`, `table.csv`, `table.tex`, `metrics.json` and `curves.csv`.

    Raises:
        UserError: when an artefact of the plan is missing or damaged, or matplotlib is not installed.
    """
    _check_packages()
    from distilgrid.reporting.page import render

    with writing(out, recipe=plan.report.recipe, labels={"grid": plan.params.grid.name}) as folder:
        findings = find(collect(plan, results))
        others = [table for task in findings.tasks if (table := other_table(findings, task))]
        main = [main_table(findings, task) for task in findings.tasks]
        (folder / "table.md").write_text(markdown([*main, *others]), encoding="utf-8")
        paper = [paper_table(findings, task) for task in findings.tasks]
        (folder / "table.tex").write_text(latex([*paper, *others]), encoding="utf-8")
        data.table(findings).to_csv(folder / "table.csv", index=False)
        data.curves(findings).to_csv(folder / "curves.csv", index=False)
        write_json(folder / "metrics.json", data.metrics(findings))
        (folder / "report.html").write_text(render(findings), encoding="utf-8")


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise UserError(f"a report needs {' and '.join(missing)}: pip install 'distilgrid[report]'")
