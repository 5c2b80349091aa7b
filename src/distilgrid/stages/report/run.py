"""Running the stage `report`: tables, claims, the page, and machine-readable files in full precision."""

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import write_json
from distilgrid.core.errors import UserError
from distilgrid.reporting.budgets import budget, to_baseline
from distilgrid.reporting.claims.judge import evaluate
from distilgrid.reporting.claims.schema import ClaimsFile
from distilgrid.reporting.claims.tables import claims_json, claims_tables, paper_claims_table
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.lines import Line, shape, spread
from distilgrid.reporting.replication.looks import decide
from distilgrid.reporting.replication.requests import request
from distilgrid.reporting.replication.tables import decisions_json, decisions_table
from distilgrid.reporting.section import number_tables
from distilgrid.reporting.sections import optimistic_mean
from distilgrid.reporting.table import Table, latex, markdown
from distilgrid.reporting.tables import compute_json, compute_table, main_table, other_table, paper_table
from distilgrid.runtimes.registry import find_runtime
from distilgrid.stages.job import Job
from distilgrid.stages.report.declare import ReportSettings, lacking

if TYPE_CHECKING:
    import pandas as pd

FACTS = ("init", "layers", "hidden_size", "parameters", "size_bytes", "precision", "train_rows")
COSTS = ("train_seconds", "tokens_per_second", "peak_memory_mib")
CURVE_COLUMNS = ("task", "student", "method", "seed", "step", "epoch", "metric", "value")


def report(settings: ReportSettings, job: Job) -> None:
    """Write the files of a report. A paper's claims add tables to the page, `table.md` and `table.tex`.

    Raises:
        UserError: when an artefact of the plan is missing or damaged, or a package is missing.
    """
    for problem in lacking():
        raise UserError(problem)
    from distilgrid.stages.report.page import render

    assert job.plan is not None, "a report is about a plan"
    folder, findings = job.folder, find(collect(job.plan, job.results))
    others = [other for task in findings.tasks if (other := other_table(findings, task))]
    others += [*number_tables(findings), compute_table(findings.collected.runs)]
    main = [main_table(findings, task) for task in findings.tasks]
    claimed = _claims(findings, settings.claims, folder)
    (folder / "table.md").write_text(markdown([*main, *others, *claimed]), encoding="utf-8")
    paper = [paper_table(findings, task) for task in findings.tasks]
    (folder / "table.tex").write_text(latex([*paper, *others, *map(paper_claims_table, claimed)]), encoding="utf-8")
    table(findings).to_csv(folder / "table.csv", index=False)
    curves(findings).to_csv(folder / "curves.csv", index=False)
    write_json(folder / "metrics.json", metrics(findings))
    write_json(folder / "compute.json", compute_json(findings.collected.runs))
    (folder / "report.html").write_text(render(findings, claims=claimed), encoding="utf-8")


def _claims(findings: Findings, file: ClaimsFile | None, folder: Path) -> list[Table]:
    """Write `claims.json`, whose entries are empty without claims, and return the tables of the claims."""
    judged = evaluate(findings, file) if file else []
    settings = findings.collected.plan.params.report.decide
    values, tables = claims_json(findings, file, judged=judged), list[Table]()
    if file and settings:
        found = request(findings, decide(findings, file, settings), settings)
        values, tables = values | {"decided": decisions_json(file, found)}, [decisions_table(findings, file, found)]
    write_json(folder / "claims.json", values)
    return [*tables, *claims_tables(findings, file, judged=judged)] if file else []


def table(findings: Findings) -> "pd.DataFrame":
    """One row for each line. Missing values are empty."""
    import pandas as pd

    return pd.DataFrame([_row(findings, line) for line in findings.lines])


def _row(findings: Findings, line: Line) -> dict[str, Any]:
    metric, split = findings.main(line.labels["task"])
    teacher = findings.teacher(line).score
    row = {
        "role": "teacher" if line.is_teacher else "student",
        **line.labels,
        "seeds": len(line.models),
        "metric": metric,
        "split": split,
        "score": line.score,
        "score_std": spread(line.scores),
        "constant": line.failed,
        "share_of_teacher": line.score / teacher if teacher > 0 and line.scoring.higher_is_better else None,
        **_difference(findings, line),
        "left_out": findings.left_out(line) or None,
        **{name: line.facts[name] for name in FACTS},
        **{name: fmean(model.metrics[name] for model in line.models) for name in COSTS},
        **_budget(findings, line),
        **_measured(findings, line),
    }
    optimistic = optimistic_mean(line)
    if optimistic is not None:
        row["optimistic_score"] = optimistic
    for name, values in line.facts["validation"].items():
        for other in values:
            found = line.values(name, other)
            row |= {f"{name}/{other}": sum(found) / len(found), f"{name}/{other}_std": spread(found)}
    return row


def _difference(findings: Findings, line: Line) -> dict[str, Any]:
    names = ("baseline", "difference", "ci_low", "ci_high", "confidence", "p", "p_holm", "sure")
    found, settings = findings.differences.get(line.key), findings.collected.plan.params.report
    if found is None:
        return dict.fromkeys(names)
    interval = (found.low, found.high, settings.confidence, found.p, found.adjusted, findings.is_sure(line))
    return dict(zip(names, (settings.baseline, found.value, *interval), strict=True))


def _budget(findings: Findings, line: Line) -> dict[str, Any]:
    """The steps of a line, what it read in them, and the ratios of both to its baseline's."""
    own, ratio = budget(line), to_baseline(findings, line)
    return {
        "steps": own.steps,
        "reads": own.reads,
        "steps_to_baseline": ratio.steps if ratio else None,
        "reads_to_baseline": ratio.reads if ratio else None,
    }


def _measured(findings: Findings, line: Line) -> dict[str, Any]:
    """Latency, speed-up, score and size in each runtime."""
    protocol = findings.collected.plan.params.benchmark
    batch, length = shape(findings.collected, line.labels["task"])
    row: dict[str, Any] = {"device": protocol.devices[0], "batch_size": batch, "length": length}
    for runtime in protocol.runtimes:
        speed, exports = line.speeds.get(runtime), line.exports.get(runtime, ())
        for name, fact in (("latency_ms", "latency_ms"), ("speedup", "same"), ("speedup_vs_torch", "torch")):
            row[f"{runtime}/{name}"] = getattr(speed, fact, None)
        if not find_runtime(runtime).reference:
            row[f"{runtime}/score"] = line.export_score(runtime)
            row[f"{runtime}/score_change"] = line.export_change(runtime)
            row[f"{runtime}/seeds"] = len(exports)
            row[f"{runtime}/size_bytes"] = exports[0].values["size_bytes"] if exports else None
    return row


def metrics(findings: Findings) -> dict[str, Any]:
    """Numbers nested by task, model and method. Unknown values are left out."""
    nested: dict[str, Any] = {}
    for line in findings.lines:
        difference = findings.differences.get(line.key)
        numbers = {
            "score": line.score,
            "std": spread(line.scores),
            "constant": line.failed or None,
            "difference": difference.value if difference else None,
            "latency_ms": {runtime: speed.latency_ms for runtime, speed in line.speeds.items()} or None,
        }
        methods = nested.setdefault(line.labels["task"], {}).setdefault(line.name, {})
        methods[line.labels["method"]] = {name: value for name, value in numbers.items() if value is not None}
    return nested


def curves(findings: Findings) -> "pd.DataFrame":
    """The main metric on dev during training, in long form with the columns of CURVE_COLUMNS."""
    import pandas as pd

    parts = []
    for line in findings.lines:
        metric = findings.main(line.labels["task"])[0]
        names = {"task": line.labels["task"], "student": line.name, "method": line.labels["method"]}
        for model in line.models:
            parts.append(model.dev(metric).assign(**names, seed=model.seed).rename(columns={"name": "metric"}))
    return pd.concat(parts, ignore_index=True)[list(CURVE_COLUMNS)]
