"""Running the stage `report`."""

from pathlib import Path

from distilgrid.core.artefacts import write_json
from distilgrid.core.errors import UserError
from distilgrid.reporting.claims.judge import evaluate
from distilgrid.reporting.claims.schema import ClaimsFile
from distilgrid.reporting.claims.tables import claims_json, claims_tables, paper_claims_table
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.sections.compute import compute_json, compute_table
from distilgrid.reporting.sections.table import number_tables
from distilgrid.reporting.table import Table, latex, markdown
from distilgrid.reporting.tables import main_table, other_table, paper_table
from distilgrid.stages.job import Job
from distilgrid.stages.report import data
from distilgrid.stages.report.declare import ReportSettings


def report(settings: ReportSettings, job: Job) -> None:
    """Write the files of a report. A paper's claims add tables to the page, `table.md` and `table.tex`.

    Raises:
        UserError: when an artefact of the plan is missing or damaged, or a package is missing.
    """
    _check_packages()
    from distilgrid.stages.report.page import render

    assert job.plan is not None, "a report is about a plan"
    folder, findings = job.folder, find(collect(job.plan, job.results))
    others = [table for task in findings.tasks if (table := other_table(findings, task))]
    others += [*number_tables(findings), compute_table(findings.collected.runs)]
    main = [main_table(findings, task) for task in findings.tasks]
    claimed = _claims(findings, settings.claims, folder)
    (folder / "table.md").write_text(markdown([*main, *others, *claimed]), encoding="utf-8")
    paper = [paper_table(findings, task) for task in findings.tasks]
    (folder / "table.tex").write_text(latex([*paper, *others, *map(paper_claims_table, claimed)]), encoding="utf-8")
    data.table(findings).to_csv(folder / "table.csv", index=False)
    data.curves(findings).to_csv(folder / "curves.csv", index=False)
    write_json(folder / "metrics.json", data.metrics(findings))
    write_json(folder / "compute.json", compute_json(findings.collected.runs))
    (folder / "report.html").write_text(render(findings, claims=claimed), encoding="utf-8")


def _claims(findings: Findings, file: ClaimsFile | None, folder: Path) -> list[Table]:
    """Write `claims.json`, whose entries are empty without claims, and return the tables of the claims."""
    judged = evaluate(findings, file) if file else []
    write_json(folder / "claims.json", claims_json(findings, file, judged=judged))
    return claims_tables(findings, file, judged=judged) if file else []


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise UserError(f"a report needs {' and '.join(missing)}: pip install 'distilgrid[report]'")
