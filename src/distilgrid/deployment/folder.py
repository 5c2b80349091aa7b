"""The folder that ships: model, tokeniser, labels, and a README with five lines that call it."""

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from distilgrid.core.artefacts import readable_os_errors, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.templates import filled
from distilgrid.deployment.classifier import FACTS
from distilgrid.deployment.options import ModelOption
from distilgrid.models.io import load_tokenizer
from distilgrid.reporting import wording
from distilgrid.reporting.collect import Collected
from distilgrid.reporting.facts import cautions
from distilgrid.reporting.noted import sentences, teacher_notes
from distilgrid.runtimes.registry import find_runtime
from distilgrid.runtimes.text_reader import FIELDS
from distilgrid.tasks.kind import TaskKind

OURS = {"run.json", "parity.json", "metrics.json", "history.parquet", "predictions.parquet", "tokenizer.json"}
"""Files of an artefact that do not ship, or are written anew."""
LOGITS = "session.run(None, {n: numpy.array([v]) for n, v in inputs.items()})[0]"


def write_folder(option: ModelOption, collected: Collected, *, results: Path, out: Path | None = None) -> Path:
    """Write the folder of a chosen model of texts, by default under `results/deployed/`, and return it.

    The folder appears whole. A failure leaves an earlier folder untouched.

    Raises UserError for a model without a tokeniser, or a folder that holds something else or cannot be written.
    """
    task = option.line.labels["task"]
    kind = collected.task_kind(task)
    if not kind.tokenised:
        said = f"'{task}' is made of {kind.words.rows}: take {results / option.folder} as it is"
        raise UserError(f"{said}; folders are for texts")
    folder = out or results / "deployed" / task / f"{Path(option.folder).parent.name}-{Path(option.folder).name}"
    with readable_os_errors(folder):
        if folder.exists() and not (folder / FACTS).is_file():
            raise UserError(f"{folder}: is there and holds no deployed model; move it or choose another folder (--out)")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=folder.parent) as scratch:
            _fill(Path(scratch) / "whole", option, collected, results)
            shutil.rmtree(folder, ignore_errors=True)
            (Path(scratch) / "whole").rename(folder)
    return folder


def _fill(out: Path, option: ModelOption, collected: Collected, results: Path) -> None:
    dataset = collected.datasets[option.line.labels["task"]]
    out.mkdir()
    for file in sorted((results / option.folder).iterdir()):
        if file.is_file() and file.name not in OURS and not file.name.startswith("."):
            shutil.copyfile(file, out / file.name)
    longest = int(option.line.models[0].run["recipe"]["training"]["max_length"])
    _write_tokenizer(results / option.model.folder, out, longest)
    names, labels = list(load_tokenizer(results / option.model.folder).model_input_names), list(dataset["labels"])
    kind = collected.task_kind(option.line.labels["task"])
    write_json(out / "labels.json", labels)
    made = {"runtime": option.runtime, "kind": kind.name, "inputs": names, "labels": labels, "max_length": longest}
    made |= {"pair": bool(dataset.get("pair"))}
    score = {"score": option.score, "teacher_score": option.teacher, "model": option.model.key}
    score |= {"split": option.line.facts["split"], "dev_score": option.dev, "dev_teacher_score": option.dev_teacher}
    measured = {**asdict(option.conditions), "noisy": option.noisy}
    write_json(out / FACTS, {**made, **score, "latency_ms": option.latency_ms, "measured": measured})
    noted = sentences(teacher_notes(collected.plan.params, [option.line.labels["teacher"]]))
    noted = f"{noted} {cautions(dataset)}".strip()
    text = readme(option, names, kind, pair=bool(dataset.get("pair")), noted=noted)
    (out / "README.md").write_text(text, encoding="utf-8")


def readme(option: ModelOption, names: list[str], kind: TaskKind, *, pair: bool, noted: str = "") -> str:
    """The README in Markdown. `names` are the model's inputs in order, `noted` is what is noted of its teachers.

    The call of an ONNX file runs without DistilGrid, where the kind says how its outputs are read.
    """
    code = kind.answer_code if find_runtime(option.runtime).bare else None
    return filled(
        "distilgrid.deployment",
        "readme.md.jinja",
        option=option,
        scoring=option.line.scoring,
        wording=wording,
        gpu=option.conditions.processor == "cuda",
        extra=find_runtime(option.runtime).extra,
        answer=code and code.format(logits=LOGITS),
        example='"A first text.", "A second text."' if pair else '"A text of yours."',
        names=names,
        fields=FIELDS,
        noted=noted,
    )


def _write_tokenizer(model: Path, out: Path, longest: int) -> None:
    """Write the tokeniser with the model's longest input, so that every caller cuts texts as training did."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    tokenizer.save(str(out / "tokenizer.json"))
