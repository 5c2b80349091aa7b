"""The page of a report, that of a paper, and copies under fixed names, for DVC and readers.

Everything on a page is inline, so that it opens offline and can be mailed as one file. The page of a report begins with
a summary of each task, in a sentence or two and three figures.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import is_complete, readable_os_errors, write_changed
from distilgrid.core.errors import UserError
from distilgrid.core.finished import is_made, open_finished
from distilgrid.core.loading import load
from distilgrid.core.planned import Artefact
from distilgrid.plan.expand import TABLE, Plan
from distilgrid.plan.teachers import teacher_names
from distilgrid.reporting import wording
from distilgrid.reporting.budgets import is_even, to_baseline
from distilgrid.reporting.claims.papers import PaperReports, paper_tables, papers
from distilgrid.reporting.collect import run_it
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.noted import footnote
from distilgrid.reporting.plots import task_plots
from distilgrid.reporting.section import task_sections
from distilgrid.reporting.table import Column, Table, Value
from distilgrid.reporting.tables import (
    compute_table,
    data_table,
    environment_texts,
    main_table,
    other_table,
    parity_table,
    rejected_table,
)

NOTHING_LEARNED = "No student learned anything: models, or their teachers, answer the same for every row."
PUBLISHED = ("report.html", "table.csv", "metrics.json", "curves.csv")


def render(findings: Findings, *, claims: Sequence[Table] = ()) -> str:
    """Render a report as HTML, with the tables of a paper's claims."""
    params = findings.collected.plan.params
    return _rendered(
        "report.html",
        findings=findings,
        plan=findings.collected.plan,
        title=params.grid.name,
        subtitle=_subtitle(findings),
        claims=claims,
        others=[table for task in findings.tasks if (table := other_table(findings, task))],
        cells=_cells(findings),
        settings=_settings(findings),
        confidence=wording.level(params.report.confidence),
    )


def render_paper(paper: PaperReports) -> str:
    """Render the page of a paper as HTML. Its links lead to the reports of its grids."""
    subtitle = f"{paper.year} {wording.DOT} {paper.url} {wording.DOT} {wording.plural(len(paper.reports), 'grid')}"
    shown = {"tables": paper_tables(paper), "reports": paper.reports}
    return _rendered("paper.html", title=paper.title, subtitle=subtitle, **shown)


def _rendered(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("distilgrid.stages.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = Markup  # SVG made here, and the style sheet
    parts = (outcomes, main_table, task_plots, task_sections, data_table, parity_table, rejected_table, compute_table)
    environment.globals |= {part.__name__: part for part in (*parts, environment_texts, origins)}
    style = resources.files("distilgrid.stages.report").joinpath("report.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=style, **values)


@dataclass(frozen=True)
class TaskSummary:
    """The summary of a task."""

    task: str  # the task's name
    headline: str  # the share of the teacher's score that the best student on dev keeps, and its speed
    comparison: str  # whether a method differs clearly from the baseline
    figures: list[tuple[str, str]]  # pairs of a number and its meaning, at most three


def outcomes(findings: Findings) -> list[TaskSummary]:
    """One summary for each task."""
    return [_outcome(findings, task) for task in findings.tasks]


def _outcome(findings: Findings, task: str) -> TaskSummary:
    students = [line for line in findings.of(task) if not line.is_teacher]
    learned = [line for line in students if not findings.failure(line)]
    if not learned:
        return TaskSummary(task, NOTHING_LEARNED, _comparison(findings, task), [])
    best = _best(learned)
    scoring, teacher = best.scoring, findings.teacher(best)
    score, taught = scoring.score(best.score), scoring.score(teacher.score)
    kept, fast = f"scores {score} of {taught} ({scoring.title}, student of teacher)", ""
    # A share is meaningless for a score of zero, a negative correlation, or a metric that should be small.
    if teacher.failed:
        kept = f"scores {score} ({scoring.title})"
    elif teacher.score > 0 and scoring.higher_is_better:
        share, verb = best.score / teacher.score, "keeps" if best.score < teacher.score else "reaches"
        kept = f"{verb} {wording.percent(share)} of the teacher's {scoring.title} ({score} of {taught})"
    figures = [(score, f"{scoring.title}; teacher {taught}")]
    compared = {runtime: speed for runtime, speed in best.speeds.items() if speed.same is not None}
    if compared:
        runtime = min(compared, key=lambda runtime: compared[runtime].latency_ms)
        times = partial(wording.times, compared[runtime].same or 0)
        change = best.export_change(runtime) if runtime.endswith("int8") else None
        speed = times(against="the teacher's speed" if teacher.failed else "its speed")
        fast = f" at {speed} ({runtime}{'' if change is None else f': {scoring.points(change)}'})"
        figures.append((times(against=""), f"the teacher's speed, both in {runtime}"))
    share = best.facts["parameters"] / teacher.facts["parameters"]
    figures.append((wording.count(best.facts["parameters"]), f"parameters, {wording.percent(share)} of the teacher's"))
    if teacher.failed:
        fast += "; the teacher answers the same for every row"
    chosen = f"{_named(best)}, best on dev," if len(learned) > 1 else _named(best)
    return TaskSummary(task, f"{chosen} {kept}{fast}.", _comparison(findings, task, best), figures)


def _comparison(findings: Findings, task: str, best: Line | None = None) -> str:
    """The clearest difference to the baseline in words. Lines that stand for others are chosen on dev."""
    settings = findings.collected.plan.params
    baseline, confidence = settings.report.baseline, wording.level(settings.report.confidence)
    owner = f"{baseline}'s"
    compared = {line: findings.differences[line.key] for line in findings.of(task) if line.key in findings.differences}
    if not compared:
        if any(findings.left_out(line) for line in findings.of(task)):
            return f"Nothing is compared with {baseline}: models, or their teachers, answer the same for every row."
        alone = baseline in settings.grid.methods
        return f"Only {baseline} was run." if alone else f"{baseline} was not run, so methods have no baseline."

    def points(line: Line) -> str:
        found, scoring = compared[line], line.scoring
        budget = to_baseline(findings, line)
        spent = "" if budget is None or is_even(budget) else f"; steps {budget.words(against=owner)}"
        if found.low is None or found.high is None:
            return f"{scoring.points(found.value)}{spent}"
        return f"{scoring.points(found.value)}, {confidence} CI {scoring.bounds(found.low, found.high)}{spent}"

    if all(found.low is None for found in compared.values()):
        shown = _best(compared)
        return f"{_named(shown)} to {baseline}: {points(shown)}; {wording.ONE_SEED}."
    better = [line for line, difference in compared.items() if difference.verdict == "better"]
    if better:
        shown = best if best and best in better else _best(better)
        # One clear gain among many comparisons means less.
        sure = sum(findings.is_sure(line) for line in better)
        counts = f"Clear gains in {len(better)} of {len(compared)} comparisons, in {sure} after Holm's correction."
        said = f"{_named(shown)} beats {baseline} by {points(shown).lstrip(f'+{wording.MINUS}')}."
        return said if len(compared) == 1 else f"{said} {counts}"
    worse = [line for line, difference in compared.items() if difference.verdict == "worse"]
    if worse:
        shown = min(worse, key=lambda line: line.dev_merit)
        known = f"No method is clearly better than {baseline}"
        return f"{known}; {_named(shown)} is clearly worse: {points(shown)}."
    shown = _best(compared)
    largest = "" if len(compared) == 1 else "best on dev: "
    return f"No method differs clearly from {baseline} ({largest}{_named(shown)} {points(shown)})."


def _best(lines: Iterable[Line]) -> Line:
    """The best line on dev."""
    return max(lines, key=lambda line: line.dev_merit)


def _named(line: Line) -> str:
    return f"{line.labels['method']} {line.name}"


def _subtitle(findings: Findings) -> str:
    """The size of the grid, its training time and its date."""
    plan = findings.collected.plan
    grid = plan.params.grid
    counts = {"task": len(grid.tasks), "teacher": len(grid.teacher_labels), "method": len(grid.methods)}
    counts |= {"student": len(grid.students)}
    parts = [*(wording.plural(number, noun) for noun, number in counts.items()), wording.seeds(*findings.seeds())]
    finished = max(datetime.fromisoformat(run["started"]) for run in findings.collected.runs)
    trained = [model.metrics for model in findings.collected.models]
    trained += [helper.values for helper in findings.collected.helpers]
    minutes = sum(metrics["train_seconds"] for metrics in trained) / 60
    parts += [f"{minutes:.0f} min of training" if minutes >= 1 else "under a minute of training"]
    return f" {wording.DOT} ".join([*parts, f"{finished:%Y-%m-%d}"])


def _cells(findings: Findings) -> Table:
    """Every trained model with its folder and costs."""
    rows: list[list[Value]] = []
    anchors: dict[int, str] = {}
    for line in findings.lines:
        for model in line.models:
            anchors[len(rows)] = line.anchor
            texts = [line.labels["task"], line.name, line.labels["method"], str(model.seed)]
            texts += [line.scoring.score(model.metrics["score"]), f"{model.metrics['train_seconds']:.0f}"]
            texts += [*_efficiency(model.metrics), model.metrics["precision"]]
            texts += [model.artefact.key, model.artefact.folder]
            rows.append([Value(text) for text in texts])
    kinds = {"images" if findings.collected.reads_images(task) else "tokens" for task in findings.tasks}
    speed = f"{' or '.join(sorted(kinds, reverse=True))}/s"
    numbers = ("seed", "score", "training, s", speed, "of peak", "memory, MiB")
    titles = ("task", "student", "method", *numbers, "time split", "precision", "recipe", "folder")
    plan = findings.collected.plan
    about = f"Folders lie under the results folder and end in the recipe key; report {plan.report.key}."
    caption = f"{about} {footnote(plan.params, findings.collected.datasets)}".rstrip()
    return Table("Cells", caption, [Column(title, number=title in numbers) for title in titles], rows, links=anchors)


def origins(findings: Findings, line: Line) -> Iterator[tuple[str, Artefact]]:
    """The models, exports and latencies behind a line of the tables, each after what it gave."""
    for model in line.models:
        yield f"seed {model.seed}: {line.scoring.score(model.metrics['score'])}", model.artefact
    for runtime, exports in line.exports.items():
        for export in exports:
            score = line.scoring.score(export.values["score"])
            yield f"{runtime}, seed {export.artefact.labels['seed']}: {score}", export.artefact
    for benchmark in findings.collected.benchmarks:
        labels = benchmark.artefact.labels
        if labels["task"] == line.labels["task"] and labels["teacher"] in teacher_names(line.labels["teacher"]):
            yield f"latencies on {labels['device']}", benchmark.artefact


def _efficiency(metrics: Mapping[str, Any]) -> list[str]:
    """Tokens or images per second, share of the machine's matrix-product rate, peak memory, split of the time."""
    fraction, split = metrics["peak_fraction"], metrics["time_split"]
    whole = sum(split.values()) or 1.0
    parts = sorted(split.items(), key=lambda part: -part[1])
    return [
        f"{metrics['tokens_per_second']:,.0f}",
        wording.DASH if fraction is None else f"{fraction:.0%}",
        f"{metrics['peak_memory_mib']:,.0f}",
        ", ".join(f"{name} {seconds / whole:.0%}" for name, seconds in parts if seconds >= whole / 100),
    ]


def _settings(findings: Findings) -> str:
    """The parameters that decide results, as YAML: those that the grid names, without folders of this machine."""
    import yaml

    values = findings.collected.plan.params.model_dump(
        exclude={"resources": True, "data": {"glue_dir", "cifar_dir"}, "report": {"claims"}}
    )
    for axis in ("tasks", "teachers", "students", "methods", "augmentations"):
        named = findings.collected.plan.params.grid.teacher_names if axis == "teachers" else values["grid"][axis]
        if axis == "students":  # assistants are students that the grid does not list
            named = [*named, *(str(helper.labels["student"]) for helper in findings.collected.plan.helpers)]
        values[axis] = {name: _portable(values[axis][name]) for name in named if name in values[axis]}
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _portable(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with only the names of local files. Recipes hash their contents, and a page may be passed on."""
    shown = dict(definition)
    for key in ("source", "validation_source", "forward", "backward"):
        scheme, _, locator = (shown.get(key) or "").partition(":")
        if scheme in ("csv", "parquet", "path"):
            shown[key] = f"{scheme}:{Path(locator).name}"
    return shown


def publish(*, plan: Plan, results: Path) -> Path:
    """Copy the report of a plan to `results/latest`, and return the path of the page.

    Files appear atomically, and equal ones are not touched. Folders of stages that the grid does not need are made,
    too, so that DVC finds all outputs of `dvc.yaml`.

    Raises:
        UserError: when the report is not made yet, is damaged, shows what was made again since, or the folder cannot be
            written.
    """
    source, target = results / plan.report.folder, results / "latest"
    if not is_complete(source):
        raise UserError(f"{source}: the report of grid '{plan.params.grid.name}' is not made; {run_it(results)}")
    report = open_finished(source, stage="report", only=PUBLISHED)
    for shown in plan.artefacts.values():
        if shown != plan.report and is_made(results / shown.folder):
            report.check_made_from(open_finished(results / shown.folder, stage=shown.stage, only=()))
    with readable_os_errors(target):
        for folder in (target, *(results / stage.folder for stage in load(TABLE).values())):
            folder.mkdir(parents=True, exist_ok=True)
        for name in PUBLISHED:
            content = report.read(name)
            # The page of `latest` is one folder nearer to the targets of its links than `reports/<grid>`.
            write_changed(
                target / name, content.replace(b'href="../../', b'href="../') if name == "report.html" else content
            )
    return target / "report.html"


def publish_papers(results: Path) -> list[Path]:
    """Write a page for each paper that finished grids reproduce, `papers/<title>.html`, and return the paths.

    Raises:
        UserError: when no report is one of a paper, one is damaged, or the folder cannot be written.
    """
    written = []
    for paper in papers(results):
        target = results / "papers" / f"{paper.slug}.html"
        with readable_os_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_changed(target, render_paper(paper).encode())
        written.append(target)
    return written
