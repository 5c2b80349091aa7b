"""Stage `export`: convert a trained model for a runtime, and accept the result only if it still computes the same.

Runtimes that run the trained model itself, compiled or in another precision, convert nothing and are judged alike.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilgrid.benchmark.inputs import FIELD
from distilgrid.core.artefacts import write_json
from distilgrid.core.errors import UserError
from distilgrid.core.finished import Finished
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.runtimes.base import IMAGE_LENGTH, Exporter, RunOptions, Sample, UnsupportedError
from distilgrid.runtimes.guards import LONGEST, first_line
from distilgrid.runtimes.parity import gate_rows, max_abs_difference, session_outputs
from distilgrid.runtimes.registry import RuntimeEntry, find_runtime, open_exporter, open_runtime
from distilgrid.stages.export.declare import ExportSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.batching import Inputs, Samples
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kind import Predictions, score
from distilgrid.training.training_set import read_split

OPEN = ("reason", "max_abs_difference", "label_agreement", "correlation", "score", "dev", "graph")
"""What `parity.json` says of an accepted export, or of a rejected one, but not of both."""


@dataclass(frozen=True)
class Source:
    """The trained model that is exported, with the rows that judge it."""

    model: Finished
    dataset: Dataset  # the data it was trained on
    samples: dict[str, Samples]  # `dev` and every validation split, as the model reads them
    longest: int  # the most tokens of an input; `IMAGE_LENGTH` for images

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.model.folder

    @property
    def main(self) -> Samples:
        """The main validation split."""
        return self.samples[self.dataset.validation[0]]

    @property
    def first_rows(self) -> Inputs:
        """Two rows of it."""
        return self.main.batch([0, len(self.main) - 1])


def export(settings: ExportSettings, job: Job) -> dict[str, Any]:
    """Export a model and judge it; returns what `parity.json` holds.

    A runtime in fp32 is accepted when its logits stay within `tolerance` of torch's, one in lower precision when it
    predicts torch's label often enough; its own score is reported. A rejected export is still written, with the reason,
    and a benchmark lists it as skipped: so is one for a runtime that takes no images.

    Raises:
        UserError: for missing packages, or damaged inputs.
    """
    entry, source = find_runtime(settings.runtime), _source(job)
    exporter = open_exporter(settings.runtime) if entry.exported else None
    made, files = (source.folder, ("model.safetensors",)) if exporter is None else (job.folder, exporter.files)
    torch.set_num_threads(job.threads)
    if source.dataset.task_kind.tokenised and exporter is not None:
        source.model.copy(["tokenizer.json"], made)
    parity = _report(source, settings, exact=entry.exact)
    try:
        _convert_and_judge(source, exporter, entry, made, job.threads, parity)
        parity["accepted"] = True
    except UnsupportedError as reason:
        parity["reason"] = str(reason)
    parity["size_bytes"] = sum((made / name).stat().st_size for name in files if (made / name).exists())
    write_json(job.folder / "parity.json", parity)
    return parity


def _source(job: Job) -> Source:
    """The trained model, with the data that it was trained on."""
    data, model = job.given("data"), job.given("model")
    dataset, tokenizer, longest = open_dataset(data.folder), None, IMAGE_LENGTH
    if dataset.task_kind.tokenised:
        tokenizer, longest = load_tokenizer(model.folder), model.run["recipe"]["training"]["max_length"]
    splits = ["dev", *dataset.validation]
    read = {name: read_split(dataset, name, tokenizer=tokenizer, max_length=longest) for name in splits}
    return Source(model, dataset, read, longest)


def _report(source: Source, settings: ExportSettings, *, exact: bool) -> dict[str, Any]:
    """`parity.json` before the verdict."""
    metrics, limits = source.model.json("metrics.json"), settings.limits
    config, kind = source.model.json("config.json"), source.dataset.task_kind
    reads = kind.inputs().of(config, lambda: list(source.first_rows))
    return {
        "runtime": settings.runtime,
        "accepted": False,
        **dict.fromkeys(OPEN),
        "tolerance": limits.tolerance if exact else None,
        "least_agreement": None if exact else limits.agreement,
        "rows": 0,
        "score_name": metrics["score_name"],
        "torch_score": metrics["score"],
        "validation": {},
        FIELD: None if reads is None else reads.model_dump(),
    }


def _convert_and_judge(
    source: Source, exporter: Exporter | None, entry: RuntimeEntry, made: Path, threads: int, parity: dict[str, Any]
) -> None:
    """Fill in the report; raises UnsupportedError with the reason when the export must not be used."""
    refusal, dataset = entry.refusal(source.dataset.task_kind), source.dataset
    if refusal:
        raise UnsupportedError(refusal)
    model = load_model(source.folder)
    if exporter is not None:
        with _rejecting("conversion failed"):
            exporter.export(model, _sample(source, calibrated=entry.calibrated), made)
            graph = exporter.graph(made)
            parity["graph"] = None if graph is None else asdict(graph)
    with _rejecting("the exported model does not run"):
        session = open_runtime(parity["runtime"], judging=True)(made, RunOptions(threads))
        rows = gate_rows(len(source.main))
        difference = max_abs_difference(model, session, source.main, rows)
        parity["rows"] = len(rows)
        _check_finite(difference)
        parity["max_abs_difference"] = difference
        kind, outputs = dataset.task_kind, {}
        for split in ("dev", *dataset.validation):
            label = f"{parity['runtime']} on {split}"
            outputs[split] = session_outputs(session, source.samples[split], kind=kind, model=model, label=label)
    for values in outputs.values():
        _check_finite(values)
    parity.update(_scores(source, outputs))
    _judge(parity, kind.predict())


def _judge(parity: Mapping[str, Any], judge: Predictions) -> None:
    difference, tolerance, least = (parity[name] for name in ("max_abs_difference", "tolerance", "least_agreement"))
    if tolerance is not None and difference > tolerance:
        raise UnsupportedError(f"logits differ from torch's by {difference:.2g}, the tolerance is {tolerance:g}")
    agreement = parity[judge.field]
    if least is not None and agreement < least:
        raise UnsupportedError(judge.complaint(agreement, least))


def _sample(source: Source, *, calibrated: bool) -> Sample:
    dev = source.samples["dev"]
    rows = gate_rows(len(dev)).tolist() if calibrated else []
    longest = source.longest if source.dataset.task_kind.tokenised else None
    return Sample(source.first_rows, [dev.batch([row]) for row in rows], longest)


@contextlib.contextmanager
def _rejecting(what: str) -> Iterator[None]:
    """Turn a runtime's own errors into a reason; a full disk or memory says nothing about the export."""
    try:
        yield
    except (UnsupportedError, UserError, OSError, MemoryError):
        raise
    except Exception as error:  # exporters and runtimes raise many types
        raise UnsupportedError(f"{what}: {first_line(error)[:LONGEST]}") from error


def _check_finite(values: float | np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise UnsupportedError("logits are not finite")


def _scores(source: Source, outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The export's own scores on dev and validation, and how far its labels agree with torch's on validation."""
    dataset, kind = source.dataset, source.dataset.task_kind
    dev = dataset.split("dev")["label"].to_numpy()
    stored = source.model.table("predictions.parquet")
    frames = {split: stored[stored["split"] == split] for split in dataset.validation}
    validation = {
        split: score(kind, dataset.metrics, labels=frame["label"].to_numpy(), outputs=outputs[split])
        for split, frame in frames.items()
    }
    judge = kind.predict()
    expected = np.concatenate([judge.decode(judge.stored(frame)) for frame in frames.values()])
    found = np.concatenate([judge.decode(outputs[split]) for split in frames])
    return {
        judge.field: judge.agreement(expected, found),
        "score": validation[dataset.validation[0]][dataset.metrics[0]],
        "dev": score(kind, dataset.metrics, labels=dev, outputs=outputs["dev"]),
        "validation": validation,
    }
