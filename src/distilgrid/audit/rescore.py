"""Scoring of trained models from their saved weights, compared with their records."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distilgrid.audit.made import Made, by_key
from distilgrid.core.artefacts import MODEL_STAGES
from distilgrid.core.errors import UserError
from distilgrid.core.finished import open_trained
from distilgrid.core.loading import load
from distilgrid.methods.registry import method_classes
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kind import find_metric, score
from distilgrid.training.predictor import PLAIN, Predictor, predict
from distilgrid.training.training_set import read_split

LOGITS = 0.05
"""The largest change of a logit between processors. Rounding stays far below it."""


def rescored(made: Sequence[Made], *, count: int, seed: int, tolerance: float) -> Iterator[tuple[str, bool]]:
    """Score up to `count` trained models again, drawn at random: outcomes in words, and whether they match the record.

    `tolerance` is on the scale on which tables print the metric.
    """
    models, artefacts = [each for each in made if each.stage in MODEL_STAGES], by_key(made)
    for model in models if len(models) <= count else random.Random(seed).sample(models, count):
        try:
            yield _rescored(model, artefacts, tolerance)
        except UserError as error:
            yield str(error), False


def _rescored(model: Made, artefacts: Mapping[str, Made], tolerance: float) -> tuple[str, bool]:
    """Score a model again on its validation rows. Rounding on another processor may turn a label."""
    data = artefacts.get(model.inputs["data"][0])
    if data is None:
        raise UserError(f"{model.folder}: cannot be scored, its data {model.inputs['data'][0]} is not here")
    dataset, stored = open_dataset(data.folder), open_trained(model.folder)
    recorded, metrics = stored.table("predictions.parquet"), stored.json("metrics.json")
    name, before, logits, main = metrics["score_name"], metrics["score"], _logits(model, dataset), dataset.validation[0]
    largest = max(
        float(np.abs(values - dataset.task_kind.predict().stored(recorded[recorded["split"] == split])).max())
        for split, values in logits.items()
    )
    labels, scale = dataset.split(main)["label"].to_numpy(), find_metric(name).scale
    now = score(dataset.task_kind, dataset.metrics, labels=labels, outputs=logits[main])[name]
    said = f"{scale * before:.2f} recorded, {scale * now:.2f} scored again on {len(recorded)} rows"
    agrees = scale * abs(now - before) <= tolerance and largest <= LOGITS
    return f"{model.folder}: {said}; logits differ by at most {largest:.1g}", agrees


def predictor(recipe: Mapping[str, Any]) -> Predictor:
    """How the model of a recipe answers: as its method says. A teacher's recipe has no settings of a method."""
    method = recipe["method"]
    if not isinstance(method, Mapping):
        return predict
    found: Predictor = load(method_classes()[method["objective"]].predictor)
    return found


def _logits(model: Made, dataset: Dataset) -> dict[str, np.ndarray]:
    loaded = load_model(model.folder)
    kind, answers = dataset.task_kind, predictor(model.recipe)
    tokenizer = load_tokenizer(model.folder) if kind.tokenised else None
    longest = model.recipe["training"]["max_length"]
    given = {split: read_split(dataset, split, tokenizer=tokenizer, max_length=longest) for split in dataset.validation}
    return {split: answers(loaded, rows, kind=kind, placement=PLAIN) for split, rows in given.items()}
