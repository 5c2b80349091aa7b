"""Cards of a finished grid: one for each model and data set, and a list of licences."""

import contextlib
import hashlib
import json
import statistics
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from distilgrid.cards.licences import CARD, UNKNOWN, Terms, model_terms, task_terms
from distilgrid.core.artefacts import json_text, read_json, readable_os_errors, write_changed
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256
from distilgrid.core.finished import open_finished, open_trained
from distilgrid.core.planned import TEACHER, Artefact, listed
from distilgrid.core.templates import filled
from distilgrid.models.io import library
from distilgrid.plan.expand import Plan
from distilgrid.plan.names import origin_source, text_pool
from distilgrid.reporting import facts, likes, wording
from distilgrid.reporting.collect import TrainedModel, collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.lines import Line
from distilgrid.reporting.scoring import scoring
from distilgrid.tasks.spec import find_task

METRIC_IDS = {"matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr"}
"""The hub's names of metrics that differ from ours."""
WRITTEN = ".cards.json"
"""The SHA-256 of each file as it was written, to tell those that people have edited since."""
ENGLISH = ("glue", "docs")
_filled = partial(filled, "distilgrid.cards", wording=wording, likes=likes, prepared=facts)


def write_cards(*, plan: Plan, results: Path, out: Path) -> int:
    """Write a card for each model and data set of a grid, and `licences.md`. Returns the number of cards.

    Raises UserError when an artefact of the grid is missing or damaged, a card was edited, or the folder cannot be
    written.
    """
    findings = find(collect(plan, results))
    for prepared in plan.data.values():
        open_finished(results / prepared.folder, stage=prepared.stage)
    specs = {task: find_task(task, plan.params.tasks) for task in plan.data}
    origins = dict(_origins(plan))
    models = {source: model_terms(source) for source in dict.fromkeys(origins.values())}
    data = {task: task_terms(spec) for task, spec in specs.items()}
    texts = {}
    for line in findings.lines:
        for model in line.models:
            folder, terms = model.artefact.folder, (models[origins[model.artefact.folder]], data[line.labels["task"]])
            whole = open_trained(results / folder)  # a card goes with the weights
            texts[f"{folder}/{CARD}"] = _model_card(findings, line, model, *terms, library=library(whole.folder))
    for task, artefact in plan.data.items():
        texts[f"{artefact.folder}/{CARD}"] = _data_card(findings, artefact, specs[task].source, data[task])
    shown = {f"{task} ({spec.source})": data[task] for task, spec in specs.items()} | _lent(plan)
    licences = _filled("licences.md.jinja", kinds={"model": models, "data": shown})
    _write({**texts, "licences.md": licences}, out)
    return len(texts)


def _write(texts: Mapping[str, str], out: Path) -> None:
    """Write files, and their SHA-256 for the next time. Raises UserError where one would replace words of somebody."""
    record, written = out / WRITTEN, {}
    with contextlib.suppress(UserError):  # absent, or damaged: then only equal files are ours
        written = dict(read_json(record))
    for name, text in texts.items():
        path = out / name
        with readable_os_errors(path):
            digest = file_sha256(path) if path.is_file() else None
        if digest not in (None, written.get(name), hashlib.sha256(text.encode()).hexdigest()):
            raise UserError(f"{path}: was written or edited by somebody; move it, or choose another folder (--out)")
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    # The record comes first: what is written of these is ours after a crash, too. No file is ever half there.
    files = {record: json_text({**written, **sums})} | {out / name: text for name, text in texts.items()}
    for path, text in files.items():
        with readable_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_changed(path, text.encode())


def _model_card(
    findings: Findings, line: Line, model: TrainedModel, terms: Terms, data_terms: Terms, *, library: str
) -> str:
    """The card of one of a line's seeds: its making, its scores, its speed and its limits.

    `terms` is the licence of the pretrained model. `library` loads the model: `transformers`, or `distilgrid` for an
    architecture of our own.
    """
    task, recipe = line.labels["task"], model.run["recipe"]
    settings = {name: value for name, value in recipe.items() if name not in ("inputs", "stage", "version")}
    return _filled(
        "model.md.jinja",
        block=_model_block(findings, line, model, terms, library).to_yaml(),
        grid=findings.collected.plan.params.grid.name,
        labels=line.labels,
        line=line,
        model=model,
        teacher=findings.teacher(line),
        dataset={"pair": False, **findings.collected.datasets[task]},
        kind=findings.collected.task_kind(task),
        exports=dict.fromkeys([*line.exports, *line.speeds]),
        settings=json.dumps(settings, indent=1, sort_keys=True),
        notes=list(findings.notes(line).values()),
        terms=terms,
        data_terms=data_terms,
        library=library,
        scoring=scoring,
        mean=statistics.fmean,
        listed=listed,
    )


def _model_block(findings: Findings, line: Line, model: TrainedModel, terms: Terms, library: str) -> ModelCardData:
    """The block that the hub reads: task, language, licence, and the scores on every validation split."""
    task = line.labels["task"]
    hub_task = findings.collected.task_kind(task).hub_task
    results = [
        EvalResult(
            task_type=hub_task,
            dataset_type=task,
            dataset_name=task,
            dataset_split=split,
            metric_type=METRIC_IDS.get(metric, metric),
            metric_value=round(value, 6),
        )
        for split, scores in model.metrics["validation"].items()
        for metric, value in scores.items()
    ]
    return ModelCardData(
        model_name=f"{task}-{line.labels['method']}-{line.labels['student']}",
        language=_language(str(findings.collected.plan.data[task].recipe["spec"].get("source", ""))),
        license=_licence(terms.licence),
        library_name=library,
        pipeline_tag=hub_task,
        tags=["distilgrid", "knowledge-distillation"],
        datasets=[task],
        eval_results=results,
    )


def _data_card(findings: Findings, artefact: Artefact, source: str, terms: Terms) -> str:
    """The card of a prepared data set. `source` is that of the task's spec."""
    dataset = findings.collected.datasets[artefact.labels["task"]]
    kind = findings.collected.task_kind(artefact.labels["task"])
    block = DatasetCardData(
        pretty_name=dataset["task"],
        language=_language(source),
        license=_licence(terms.licence.lower()),
        task_categories=[kind.hub_task],
    ).to_yaml()
    given: dict[str, Any] = {"artefact": artefact, "dataset": dataset, "kind": kind, "source": source, "terms": terms}
    longest = findings.collected.plan.params.training.max_length
    return _filled("data.md.jinja", block=block, max_length=longest, **given)


def _language(source: str) -> str | None:
    return "en" if source.partition(":")[0] in ENGLISH else None


def _licence(named: str) -> str:
    return named if " " not in named and named != UNKNOWN else "other"


def _origins(plan: Plan) -> Iterator[tuple[str, str]]:
    """The source of the pretrained model behind each model."""
    params = plan.params
    for model in [*plan.teachers, *plan.students]:
        teacher, student = model.labels["teacher"], model.labels["student"]
        if model.labels["method"] == TEACHER:
            yield model.folder, params.teachers[teacher].source
        else:
            yield model.folder, origin_source(params, params.students[student], teacher)


def _lent(plan: Plan) -> dict[str, Terms]:
    """The licences of texts that augmentations take from other tasks."""
    found: dict[str, Terms] = {}
    for rows in plan.of("augment"):
        task, augmentation = rows.labels["task"], rows.labels["augmentation"]
        pool = text_pool(plan.params, task=task, augmentation=augmentation)
        if pool is not None:
            found |= {f"{name} (texts of {augmentation})": task_terms(pool.spec(name)) for name in pool.names}
    return found
