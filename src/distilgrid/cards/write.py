"""Cards of a finished grid: one for each model and data set, and a list of licences."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from distilgrid.cards import data_card, model_card
from distilgrid.cards.licences import CARD, Terms, model_terms, task_terms
from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.planned import TEACHER
from distilgrid.models.io import library
from distilgrid.plan.expand import Plan
from distilgrid.plan.names import origin_source, text_pool
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.tasks.spec import find_task

LICENCES = """# Licences of what this grid is made from

Told by their own files and publishers. Check them before you ship.

"""


def write_cards(*, plan: Plan, results: Path, out: Path) -> int:
    """Write a card for each model and data set of a grid, and `licences.md`. Returns the number of cards.

    Raises:
        UserError: when an artefact of the grid is missing or damaged, or the folder cannot be written.
    """
    findings = find(collect(plan, results))
    specs = {task: find_task(task, plan.params.tasks) for task in plan.data}
    origins = dict(_origins(plan))
    models = {source: model_terms(source) for source in dict.fromkeys(origins.values())}
    data = {task: task_terms(spec) for task, spec in specs.items()}
    texts = dict(_of_models(findings, {folder: models[source] for folder, source in origins.items()}, data, results))
    for task, artefact in plan.data.items():
        given = (artefact, findings.collected.datasets[task])
        texts[f"{artefact.folder}/{CARD}"] = data_card.card(*given, source=specs[task].source, terms=data[task])
    shown = {f"{task} ({spec.source})": data[task] for task, spec in specs.items()} | _lent(plan)
    _write(out, {**texts, "licences.md": _licences(models, shown)})
    return len(texts)


def _of_models(
    findings: Findings, models: Mapping[str, Terms], data: Mapping[str, Terms], results: Path
) -> Iterator[tuple[str, str]]:
    """The path and the text of each model's card. `models` holds the licences of the pretrained models."""
    for line in findings.lines:
        for model in line.models:
            folder = model.artefact.folder
            terms = {"terms": models[folder], "data_terms": data[line.labels["task"]]}
            yield f"{folder}/{CARD}", model_card.card(findings, line, model, library=library(results / folder), **terms)


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
    for rows in plan.augmented:
        task, augmentation = rows.labels["task"], rows.labels["augmentation"]
        pool = text_pool(plan.params, task=task, augmentation=augmentation)
        if pool is not None:
            found |= {f"{name} (texts of {augmentation})": task_terms(pool.spec(name)) for name in pool.names}
    return found


def _licences(models: dict[str, Terms], data: dict[str, Terms]) -> str:
    """The list of licences, to be checked before anything ships."""
    rows = ["| what | | licence | says |", "|---|---|---|---|"]
    for kind, found in (("model", models), ("data", data)):
        rows += [f"| {name} | {kind} | {terms.licence} | {terms.told_by} |" for name, terms in found.items()]
    return LICENCES + "\n".join(rows) + "\n"


def _write(out: Path, texts: dict[str, str]) -> None:
    with readable_os_errors(out):
        for name, text in texts.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
