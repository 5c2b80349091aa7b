"""Stage `export`: convert a trained model for a runtime, and accept the result only if it still computes the same.

Runtimes that run the trained model itself, compiled or in another precision, convert nothing and are judged alike.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distilgrid.benchmark.inputs import FIELD, describe_inputs
from distilgrid.core.artefacts import read_json, write_json
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.runtimes.base import IMAGE_LENGTH, Exporter, RunOptions, Sample, UnsupportedError
from distilgrid.runtimes.failures import LONGEST, first_line
from distilgrid.runtimes.parity import gate_rows, max_abs_difference, session_logits
from distilgrid.runtimes.registry import RuntimeEntry, find_runtime, open_exporter, open_judge
from distilgrid.stages.export.declare import ExportSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.batching import Inputs, Samples
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kind import Predictions, score
from distilgrid.training.training_set import read_split

if TYPE_CHECKING:
    from distilgrid.benchmark.settings import Export


class RejectedError(Exception):
    """An export that must not be used; the message is the reason."""


@dataclass(frozen=True)
class Source:
    """The trained model that is exported, with the rows that judge it."""

    folder: Path  # the model's
    dataset: Dataset  # the data it was trained on
    samples: dict[str, Samples]  # `dev` and every validation split, as the model reads them
    longest: int  # the most tokens of an input; `IMAGE_LENGTH` for images


def export(settings: ExportSettings, job: Job) -> dict[str, Any]:
    """Export a model and judge it; returns what `parity.json` holds.

    A runtime in fp32 is accepted when its logits stay within `tolerance` of torch's, one in lower precision when it
    predicts torch's label often enough; its own score is reported. A rejected export is still written, with the reason,
    and a benchmark lists it as skipped: so is one for a runtime that takes no images.

    Raises:
        UserError: for missing packages, damaged inputs, or a model trained on other data.
    """
    entry = find_runtime(settings.runtime)
    exporter = open_exporter(settings.runtime) if entry.exported else None
    source, model, folder = _source(job), job.given("model").folder, job.folder
    torch.set_num_threads(job.threads)
    if source.dataset.task_kind.tokenised and exporter is not None:
        shutil.copyfile(model / "tokenizer.json", folder / "tokenizer.json")
    parity = _report(source, settings.runtime, settings.limits)
    try:
        _convert_and_judge(source, exporter, entry, folder, job.threads, parity)
        parity["accepted"] = True
    except RejectedError as reason:
        parity["reason"] = str(reason)
    parity["size_bytes"] = _size(model, "model.safetensors") if exporter is None else _size(folder, *exporter.files)
    write_json(folder / "parity.json", parity)
    return parity


def _source(job: Job) -> Source:
    """The trained model, with the data that it was trained on.

    Raises:
        UserError: when it was trained on other data.
    """
    data, model = job.given("data"), job.given("model")
    wanted = model.run["recipe"]["inputs"]["data"]
    if wanted != data.key:
        raise UserError(
            f"{data.folder}: has key {data.key}, but {model.folder} was trained on data {wanted}; pass that folder"
        )
    dataset, tokenizer, longest = open_dataset(data.folder), None, IMAGE_LENGTH
    if dataset.task_kind.tokenised:
        tokenizer, longest = load_tokenizer(model.folder), model.run["recipe"]["training"]["max_length"]
    splits = ["dev", *dataset.validation]
    read = {name: read_split(dataset, name, tokenizer=tokenizer, max_length=longest) for name in splits}
    return Source(model.folder, dataset, read, longest)


def _size(folder: Path, *files: str) -> int:
    """Bytes of a model's own files."""
    return sum((folder / name).stat().st_size for name in files if (folder / name).exists())


def _report(source: Source, runtime: str, settings: "Export") -> dict[str, Any]:
    """`parity.json` before the verdict."""
    metrics, exact = read_json(source.folder / "metrics.json"), find_runtime(runtime).exact
    return {
        "runtime": runtime,
        "accepted": False,
        "reason": None,
        "max_abs_difference": None,
        "tolerance": settings.tolerance if exact else None,
        "least_agreement": None if exact else settings.agreement,
        "rows": 0,
        "label_agreement": None,
        "correlation": None,
        "score": None,
        "score_name": metrics["score_name"],
        "torch_score": metrics["score"],
        "validation": {},
        "graph": None,
        FIELD: describe_inputs(read_json(source.folder / "config.json"), list(_first_rows(source))),
    }


def _convert_and_judge(
    source: Source, exporter: Exporter | None, entry: RuntimeEntry, folder: Path, threads: int, parity: dict[str, Any]
) -> None:
    """Fill in the report; raises RejectedError with the reason when the export must not be used."""
    refusal = entry.refuses.get(source.dataset.task_kind.modality)
    if refusal:
        raise RejectedError(refusal)
    model = load_model(source.folder)
    samples = source.samples[source.dataset.validation[0]]
    if exporter is not None:
        with _rejecting("conversion failed"):
            exporter.export(model, _sample(source, calibrated=entry.calibrated), folder)
            graph = exporter.graph(folder)
            parity["graph"] = None if graph is None else graph.as_dict()
    with _rejecting("the exported model does not run"):
        made = source.folder if exporter is None else folder
        session = open_judge(parity["runtime"]).load(made, RunOptions(threads))
        rows = gate_rows(len(samples))
        difference = max_abs_difference(model, session, samples, rows)
        parity["rows"] = len(rows)
        _check_finite(difference)
        parity["max_abs_difference"] = difference
        logits = {
            split: session_logits(session, source.samples[split], label=f"{parity['runtime']} on {split}")
            for split in source.dataset.validation
        }
    for values in logits.values():
        _check_finite(values)
    parity.update(_scores(source, logits))
    _judge(parity, source.dataset.task_kind.predict())


def _judge(parity: Mapping[str, Any], judge: Predictions) -> None:
    difference, tolerance, least = (parity[name] for name in ("max_abs_difference", "tolerance", "least_agreement"))
    if tolerance is not None and difference > tolerance:
        raise RejectedError(f"logits differ from torch's by {difference:.2g}, the tolerance is {tolerance:g}")
    agreement = parity[judge.field]
    if least is not None and agreement < least:
        raise RejectedError(judge.complaint(agreement, least))


def _sample(source: Source, *, calibrated: bool) -> Sample:
    dev = source.samples["dev"]
    rows = gate_rows(len(dev)).tolist() if calibrated else []
    return Sample(_first_rows(source), [dev.batch([row]) for row in rows], source.longest)


def _first_rows(source: Source) -> Inputs:
    """Two rows of the main validation split."""
    samples = source.samples[source.dataset.validation[0]]
    return samples.batch([0, len(samples) - 1])


@contextlib.contextmanager
def _rejecting(what: str) -> Iterator[None]:
    """Turn a runtime's own errors into a reason; a full disk or memory says nothing about the export."""
    try:
        yield
    except UnsupportedError as reason:
        raise RejectedError(str(reason)) from None
    except (RejectedError, UserError, OSError, MemoryError):
        raise
    except Exception as error:  # exporters and runtimes raise many types
        raise RejectedError(f"{what}: {first_line(error)[:LONGEST]}") from error


def _check_finite(values: float | np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise RejectedError("logits are not finite")


def _scores(source: Source, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The export's own scores on all validation rows, and how far its labels agree with torch's."""
    import pandas as pd

    dataset, kind = source.dataset, source.dataset.task_kind
    stored = pd.read_parquet(source.folder / "predictions.parquet")
    validation, own, torchs, decode = {}, [], [], kind.predict().decode
    for split in dataset.validation:
        torch_rows = stored[stored["split"] == split]
        labels = torch_rows["label"].to_numpy()
        validation[split] = score(kind, dataset.metrics, labels=labels, outputs=outputs[split])
        own.append(decode(outputs[split]))
        torchs.append(decode(np.stack(torch_rows["logits"].to_list())))
    judge = kind.predict()
    return {
        judge.field: judge.agreement(np.concatenate(torchs), np.concatenate(own)),
        "score": validation[dataset.validation[0]][dataset.metrics[0]],
        "validation": validation,
    }
