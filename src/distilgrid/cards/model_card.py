"""The card of a trained model: its making, its scores, its speed and its limits."""

import json
from collections.abc import Iterator

from huggingface_hub import EvalResult, ModelCardData

from distilgrid.cards.licences import Terms
from distilgrid.core.planned import listed
from distilgrid.reporting import wording
from distilgrid.reporting.collect import TrainedModel
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.lines import Line
from distilgrid.reporting.scoring import scoring

METRIC_IDS = {"matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr"}
"""The hub's names of metrics that differ from ours."""
TEXT, IMAGE = "text-classification", "image-classification"
ENGLISH = ("glue", "docs")
LOAD = """```python
from transformers import pipeline

classify = pipeline("text-classification", model=".")
print(classify({example}))
```"""

OWN = """`distilgrid.models.io.load_model(".")`: a PyTorch module in the Hugging Face protocol, of an architecture that
`transformers` does not have. `distilgrid export` converts it for a runtime."""


def card(findings: Findings, line: Line, model: TrainedModel, *, terms: Terms, data_terms: Terms, library: str) -> str:
    """The whole card of one of a line's seeds, with YAML block and text.

    `terms` is the licence of the pretrained model. `library` loads the model: `transformers`, or `distilgrid` for an
    architecture of our own.
    """
    data = metadata(findings, line, model, terms=terms, library=library)
    parts = [*_parts(findings, line, model, terms, data_terms), _use(findings, line.labels["task"], library)]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def metadata(findings: Findings, line: Line, model: TrainedModel, *, terms: Terms, library: str) -> ModelCardData:
    """The block that the hub reads: task, language, licence, and the scores on every validation split."""
    task = line.labels["task"]
    spec = findings.collected.plan.data[task].recipe["spec"]
    images = findings.collected.reads_images(task)
    return ModelCardData(
        model_name=f"{task}-{line.labels['method']}-{line.labels['student']}",
        language="en" if str(spec.get("source", "")).partition(":")[0] in ENGLISH else None,
        license=terms.licence if " " not in terms.licence and terms.licence != "unknown" else "other",
        library_name=library,
        pipeline_tag=IMAGE if images else TEXT,
        tags=["distilgrid", "knowledge-distillation"],
        datasets=[task],
        eval_results=list(_results(model, task, IMAGE if images else TEXT)),
    )


def _results(model: TrainedModel, task: str, kind: str) -> Iterator[EvalResult]:
    for split, scores in model.metrics["validation"].items():
        for metric, value in scores.items():
            yield EvalResult(
                task_type=kind,
                dataset_type=task,
                dataset_name=task,
                dataset_split=split,
                metric_type=METRIC_IDS.get(metric, metric),
                metric_value=round(value, 6),
            )


def _parts(findings: Findings, line: Line, model: TrainedModel, terms: Terms, data_terms: Terms) -> Iterator[str]:
    labels, teacher = line.labels, findings.teacher(line)
    yield f"# {labels['task']}: {line.name}, {labels['method']}, seed {model.seed}"
    yield _what(line, model, teacher)
    yield "## Scores\n\n" + _scores(line, model, teacher)
    if line.exports or line.rejected:
        yield "## Exports and latency\n\n" + _exports(line)
    yield "## How it was made\n\n" + _made(findings, model)
    yield "## What it is for, and what not\n\n" + _limits(findings, labels["task"], terms, data_terms)


def _use(findings: Findings, task: str, library: str) -> str:
    pair = findings.collected.datasets[task].get("pair", False)
    example = '{"text": "A first text.", "text_pair": "A second text."}' if pair else '"A text of yours."'
    return "## Use\n\n" + (LOAD.format(example=example) if library == "transformers" else OWN)


def _what(line: Line, model: TrainedModel, teacher: Line) -> str:
    facts = model.metrics
    parameters, weights = wording.count(facts["parameters"]), wording.size(facts["size_bytes"])
    size = f"{facts['layers']} layers, {parameters} parameters, {weights}"
    if line.is_teacher:
        return f"A teacher, fine-tuned on the labels of `{line.labels['task']}`: {size}."
    kept = ""
    if teacher.score > 0:
        share, seeds = wording.percent(line.score / teacher.score), wording.plural(len(line.models), "seed")
        kept = f" Over {seeds} such students keep {share} of its main score."
    return (
        f"A student of the teacher `{line.labels['teacher']}` on `{line.labels['task']}`, trained by "
        f"`{line.labels['method']}`: {size}, begun from {facts['init']} weights.{kept}"
    )


def _scores(line: Line, model: TrainedModel, teacher: Line) -> str:
    """A row for each metric with this model, the mean over seeds, and the teacher."""
    rows = ["| split | metric | this model | mean over seeds | teacher |", "|---|---|---:|---:|---:|"]
    for split, scores in model.metrics["validation"].items():
        for metric, value in scores.items():
            values, taught = line.values(split, metric), teacher.values(split, metric)
            shown = scoring(metric)
            over = [shown.score(sum(each) / len(each)) for each in (values, taught)]
            rows.append(f"| {split} | {shown.title} | {shown.score(value)} | {over[0]} | {over[1]} |")
    rows += ["", "Checkpoints were selected on rows held out of training; the splits above selected nothing."]
    return "\n".join(rows)


def _exports(line: Line) -> str:
    rows = ["| runtime | score | change | latency, ms |", "|---|---:|---:|---:|"]
    for runtime in dict.fromkeys([*line.exports, *line.speeds]):
        score, change, speed = line.export_score(runtime), line.export_change(runtime), line.speeds.get(runtime)
        shown = [wording.DASH if score is None else line.scoring.score(score)]
        shown += [wording.DASH if change is None else line.scoring.signed(change)]
        shown += [wording.milliseconds(speed.latency_ms) if speed else wording.DASH]
        rows.append(f"| {runtime} | {' | '.join(shown)} |")
    if line.rejected:
        rows.append(f"\nRejected, since they are no longer the same model: {', '.join(line.rejected)}.")
    return "\n".join(rows)


def _made(findings: Findings, model: TrainedModel) -> str:
    """The recipe: command, settings, inputs, versions, machine."""
    artefact, run = model.artefact, model.run
    inputs = [f"- {name}: `{each.folder}`" for name, source in artefact.inputs.items() for each in listed(source)]
    settings = {name: value for name, value in run["recipe"].items() if name not in ("inputs", "stage", "version")}
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    machine = run["machine"]
    return "\n".join(
        [
            f"Grid `{findings.collected.plan.params.grid.name}`, recipe `{artefact.key}`, {run['started']}, "
            f"{run['seconds']:.0f} s on {machine['cpu']} ({machine['cores']} cores); {versions}.",
            "",
            f"    {artefact.command}",
            "",
            *inputs,
            "",
            "```json",
            json.dumps(settings, indent=1, sort_keys=True),
            "```",
        ]
    )


def _limits(findings: Findings, task: str, terms: Terms, data_terms: Terms) -> str:
    dataset = findings.collected.datasets[task]
    labels = ", ".join(f"`{label}`" for label in dataset["labels"]) or "a real number"
    return "\n".join(
        [
            f"- It tells {labels} on inputs like those of `{task}`; nothing was tested beyond them, nor for bias.",
            f"- Licence of the model it began from: {terms.licence} (says {terms.told_by}).",
            f"- Licence of the data: {data_terms.licence} (says {data_terms.told_by}). See `licences.md`.",
            *(f"- {note}" for note in dataset["notes"]),
        ]
    )
