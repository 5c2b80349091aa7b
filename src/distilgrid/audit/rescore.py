"""Scoring of trained models from their saved weights, compared with their records."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distilgrid.audit.made import Made
from distilgrid.core.artefacts import MODEL_STAGES, read_json
from distilgrid.core.errors import UserError
from distilgrid.core.parquet import read_parquet
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kind import find_metric, score
from distilgrid.training.predictor import predict
from distilgrid.training.training_set import read_split

LOGITS = 0.05
"""The largest change of a logit between processors. Rounding stays far below it."""


@dataclass(frozen=True)
class Rescored:
    """A model that was scored again."""

    folder: Path  # the model's folder
    recorded: float  # the score in `metrics.json`
    found: float  # the score of the saved weights
    rows: int  # number of validation rows over all splits
    largest: float  # the largest difference between a logit and its record
    scale: float = 100.0  # factor from a score to the printed number

    def agrees(self, *, tolerance: float) -> bool:
        """Whether the score and the logits match the record. Rounding on another processor may turn a label."""
        return abs(self.found - self.recorded) <= tolerance and self.largest <= LOGITS

    def line(self) -> str:
        """The outcome in words."""
        before, now = (f"{self.scale * score:.2f}" for score in (self.recorded, self.found))
        scores = f"{before} recorded, {now} scored again on {self.rows} rows"
        return f"{self.folder}: {scores}; logits differ by at most {self.largest:.1g}"


def choose(made: Sequence[Made], *, count: int, seed: int) -> list[Made]:
    """Draw up to `count` trained models at random."""
    models = [each for each in made if each.stage in MODEL_STAGES]
    return models if len(models) <= count else random.Random(seed).sample(models, count)


def rescored(models: Sequence[Made], *, artefacts: Mapping[str, Made], tolerance: float) -> Iterator[tuple[str, bool]]:
    """For each model, the outcome of scoring it again in words, and whether it matches the record."""
    for model in models:
        try:
            outcome = rescore(model, artefacts=artefacts)
        except UserError as error:
            yield str(error), False
        else:
            yield outcome.line(), outcome.agrees(tolerance=tolerance)


def rescore(model: Made, *, artefacts: Mapping[str, Made]) -> Rescored:
    """Score a teacher or student again on its validation rows.

    Raises:
        UserError: when its data is gone, or a file is damaged.
    """
    data = artefacts.get(model.inputs["data"][0])
    if data is None:
        raise UserError(f"{model.folder}: cannot be scored, its data {model.inputs['data'][0]} is not here")
    dataset = open_dataset(data.folder)
    recorded, metrics = read_parquet(model.folder / "predictions.parquet"), read_json(model.folder / "metrics.json")
    logits = _logits(model, dataset)
    main = dataset.validation[0]
    largest = max(
        float(np.abs(values - np.stack(recorded["logits"][recorded["split"] == split].to_list())).max())
        for split, values in logits.items()
    )
    labels = dataset.split(main)["label"].to_numpy()
    found = score(dataset.task_kind, dataset.metrics, labels=labels, outputs=logits[main])[metrics["score_name"]]
    scale = find_metric(metrics["score_name"]).scale
    return Rescored(model.folder, metrics["score"], found, len(recorded), largest, scale)


def _logits(model: Made, dataset: Dataset) -> dict[str, np.ndarray]:
    """Logits by validation split."""
    loaded = load_model(model.folder)
    kind = dataset.task_kind
    tokenizer = load_tokenizer(model.folder) if kind.tokenised else None
    longest = model.recipe["training"]["max_length"]
    return {
        split: predict(loaded, read_split(dataset, split, tokenizer=tokenizer, max_length=longest), kind=kind)
        for split in dataset.validation
    }
