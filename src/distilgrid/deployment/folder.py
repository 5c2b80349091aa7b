"""The folder that ships: model, tokeniser, labels, and a README with five lines that call it."""

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from distilgrid.core.artefacts import read_json, readable_os_errors, write_json
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256
from distilgrid.core.finished import Finished, open_finished, open_trained
from distilgrid.core.sums import SUMS, check_sums, listed_files, write_sums
from distilgrid.core.templates import filled
from distilgrid.deployment.classifier import ADVICE, FACTS
from distilgrid.deployment.options import ModelOption
from distilgrid.models.io import load_tokenizer
from distilgrid.reporting import wording
from distilgrid.reporting.collect import Collected
from distilgrid.reporting.facts import cautions
from distilgrid.reporting.noted import sentences, teacher_notes
from distilgrid.runtimes.registry import find_runtime
from distilgrid.runtimes.text_reader import FIELDS
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.long_texts import first_characters

OURS = {"parity.json", "metrics.json", "history.parquet", "predictions.parquet", "tokenizer.json"}
"""Files of an artefact that do not ship, or are written anew."""
README = "README.md"
README_SUM = "readme_sha256"
LOGITS = "session.run(None, {n: numpy.array([v]) for n, v in inputs.items()})[0]"


@dataclass(frozen=True)
class _Origin:
    """What a folder is made from, whole, and each made from the next."""

    shipped: Finished  # the export, or the model itself
    model: Finished
    data: Finished

    @classmethod
    def of(cls, option: ModelOption, collected: Collected, results: Path) -> "_Origin":
        """Open the artefacts of a choice. Raises UserError for a damaged file, or another making of one."""
        model = open_trained(results / option.model.folder)
        exported = option.folder != option.model.folder
        shipped = open_finished(results / option.folder, stage="export") if exported else model
        data = collected.plan.data[option.line.labels["task"]]
        found = cls(shipped, model, open_finished(results / data.folder, stage=data.stage, only=["dataset.json"]))
        found.shipped.check_made_from(found.model)
        found.model.check_made_from(found.data)
        return found


def write_folder(option: ModelOption, collected: Collected, *, results: Path, out: Path | None = None) -> Path:
    """Write the folder of a chosen model of texts, by default under `results/deployed/`, and return it.

    The folder appears whole. A failure leaves an earlier folder untouched.

    Raises UserError for a damaged file, a model without a tokeniser, or a folder that holds something else, holds files
    of somebody next to an earlier model, or cannot be written.
    """
    origin = _Origin.of(option, collected, results)
    task = option.line.labels["task"]
    kind = collected.task_kind(task)
    if not kind.tokenised:
        said = f"'{task}' is made of {kind.words.rows}: take {results / option.folder} as it is"
        raise UserError(f"{said}; folders are for texts")
    folder = out or results / "deployed" / task / f"{Path(option.folder).parent.name}-{Path(option.folder).name}"
    place = Path(os.path.realpath(folder))  # of the folder itself, also where it is a link, or `.`
    with readable_os_errors(folder):
        _check_replaceable(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=place.parent) as scratch:
            _fill(Path(scratch) / "whole", option, collected, origin)
            _check_replaceable(folder)  # somebody may have written into it meanwhile
            _replace(place, Path(scratch) / "whole", before=Path(scratch) / "before")
        check_sums(place, advice=ADVICE)
    return folder


def _replace(place: Path, new: Path, *, before: Path) -> None:
    """Put a folder in place of another one, which moves to `before`. Neither is ever half there."""
    if place.exists():
        place.rename(before)
    try:
        new.rename(place)
    except BaseException:
        if before.exists():
            before.rename(place)
        raise


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier choice as it was written. Raises UserError."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    advice = "move it or choose another folder (--out)"
    if not (folder / FACTS).is_file():
        raise UserError(f"{folder}: is there and holds no deployed model; {advice}")
    own = {FACTS, SUMS, README, *listed_files(folder)}
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in own or path.is_dir())
    if foreign:
        raise UserError(
            f"{folder / foreign[0]}: was not written by `distilgrid choose`, and would be deleted; {advice}"
        )
    try:
        written = read_json(folder / FACTS).get(README_SUM)
    except (UserError, AttributeError):  # damaged: to be written anew
        return
    if written and (folder / README).is_file() and file_sha256(folder / README) != written:
        raise UserError(f"{folder / README}: was edited, and would be replaced; {advice}")


def _fill(out: Path, option: ModelOption, collected: Collected, origin: _Origin) -> None:
    dataset = collected.datasets[option.line.labels["task"]]
    out.mkdir()
    origin.shipped.copy([name for name in origin.shipped.run["files"] if name not in OURS], out)
    longest = int(origin.model.run["recipe"]["training"]["max_length"])
    _write_tokenizer(origin.model, out, longest)
    names, labels = list(load_tokenizer(origin.model.folder).model_input_names), list(dataset["labels"])
    kind = collected.task_kind(option.line.labels["task"])
    write_json(out / "labels.json", labels)
    made = {"runtime": option.runtime, "kind": kind.name, "inputs": names, "labels": labels, "max_length": longest}
    made |= {"pair": bool(dataset.get("pair"))}
    score = {"score": option.score, "teacher_score": option.teacher, "model": option.model.key}
    score |= {"split": option.line.facts["split"], "dev_score": option.dev, "dev_teacher_score": option.dev_teacher}
    measured = {**asdict(option.conditions), "noisy": option.noisy}
    noted = sentences(teacher_notes(collected.plan.params, [option.line.labels["teacher"]]))
    noted = f"{noted} {cautions(dataset)}".strip()
    text = readme(option, names, kind, pair=bool(dataset.get("pair")), noted=noted, longest=longest)
    (out / README).write_text(text, encoding="utf-8")
    facts = {**made, **score, "latency_ms": option.latency_ms, "measured": measured}
    write_json(out / FACTS, {**facts, README_SUM: file_sha256(out / README)})
    write_sums(out, without=[README])


def readme(
    option: ModelOption, names: list[str], kind: TaskKind, *, pair: bool, noted: str = "", longest: int = 512
) -> str:
    """The README in Markdown. `names` are the model's inputs in order, `noted` is what is noted of its teachers.

    `longest` is its longest input in tokens.

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
        most=first_characters(longest),
        names=names,
        fields=FIELDS,
        noted=noted,
    )


def _write_tokenizer(model: Finished, out: Path, longest: int) -> None:
    """Write the tokeniser with the model's longest input, so that every caller cuts texts as training did."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model.path("tokenizer.json")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    tokenizer.save(str(out / "tokenizer.json"))
