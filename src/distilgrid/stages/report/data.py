"""Machine-readable files of a report, in full precision: `table.csv`, `metrics.json`, `curves.csv`."""

from statistics import fmean
from typing import TYPE_CHECKING, Any

from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line, shape, spread
from distilgrid.reporting.sections.selection import optimistic_mean
from distilgrid.runtimes.registry import find_runtime

if TYPE_CHECKING:
    import pandas as pd

FACTS = ("init", "layers", "hidden_size", "parameters", "size_bytes", "precision", "train_rows")
COSTS = ("train_seconds", "tokens_per_second", "peak_memory_mib")
CURVE_COLUMNS = ("task", "student", "method", "seed", "step", "epoch", "metric", "value")


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
        "share_of_teacher": line.score / teacher if teacher > 0 and line.scoring.higher_is_better else None,
        **_difference(findings, line),
        **{name: line.facts[name] for name in FACTS},
        **{name: fmean(model.metrics[name] for model in line.models) for name in COSTS},
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
    difference = findings.differences.get(line.key)
    if difference is None:
        return dict.fromkeys(("baseline", "difference", "ci_low", "ci_high", "confidence", "p", "p_holm"))
    settings = findings.collected.plan.params.report
    return {
        "baseline": settings.baseline,
        "difference": difference.value,
        "ci_low": difference.low,
        "ci_high": difference.high,
        "confidence": settings.confidence,
        "p": difference.p,
        "p_holm": difference.adjusted,
    }


def _measured(findings: Findings, line: Line) -> dict[str, Any]:
    """Latency, speed-up, score and size in each runtime."""
    protocol = findings.collected.plan.params.benchmark
    batch, length = shape(findings.collected, line.labels["task"])
    row: dict[str, Any] = {"device": protocol.devices[0], "batch_size": batch, "length": length}
    for runtime in protocol.runtimes:
        speed, exports = line.speeds.get(runtime), line.exports.get(runtime, ())
        row[f"{runtime}/latency_ms"] = speed.latency_ms if speed else None
        row[f"{runtime}/speedup"] = speed.same if speed else None
        row[f"{runtime}/speedup_vs_torch"] = speed.torch if speed else None
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
        students = nested.setdefault(line.labels["task"], {})
        students.setdefault(line.name, {})[line.labels["method"]] = _numbers(findings, line)
    return nested


def _numbers(findings: Findings, line: Line) -> dict[str, Any]:
    difference = findings.differences.get(line.key)
    numbers: dict[str, Any] = {
        "score": line.score,
        "std": spread(line.scores),
        "difference": difference.value if difference else None,
        "latency_ms": {runtime: speed.latency_ms for runtime, speed in line.speeds.items()} or None,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def curves(findings: Findings) -> "pd.DataFrame":
    """The main metric on dev during training, in long form with the columns of CURVE_COLUMNS."""
    import pandas as pd

    parts = []
    for line in findings.lines:
        metric = findings.main(line.labels["task"])[0]
        names = {"task": line.labels["task"], "student": line.name, "method": line.labels["method"]}
        for model in line.models:
            kept = model.history[(model.history["split"] == "dev") & (model.history["name"] == metric)]
            parts.append(kept.assign(**names, seed=model.seed).rename(columns={"name": "metric"}))
    return pd.concat(parts, ignore_index=True)[list(CURVE_COLUMNS)]
