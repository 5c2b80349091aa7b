"""Scoring trained models again from their saved weights, and comparing with what was recorded."""

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
from distilgrid.tasks.kind_table import find_metric
from distilgrid.tasks.metrics import score
from distilgrid.training.evaluation import predict
from distilgrid.training.training_set import read_split

LOGITS = 0.05
"""What rounding may change of a logit from one processor to another, with much to spare."""


@dataclass(frozen=True)
class Rescored:
    """A model that was scored again.

    Attributes:
        folder: the model's.
        recorded: its score in `metrics.json`.
        found: the score that its weights have now.
        rows: validation rows, all splits together.
        largest: the largest difference between a logit and the recorded one.
        scale: of the metric, between a score and what readers see.
    """

    folder: Path
    recorded: float
    found: float
    rows: int
    largest: float
    scale: float = 100.0

    def agrees(self, *, tolerance: float) -> bool:
        """Whether these are the weights that were scored, with the score that they had.

        Args:
            tolerance: of scores: on another processor rounding may turn a label.
        """
        return abs(self.found - self.recorded) <= tolerance and self.largest <= LOGITS

    def line(self) -> str:
        """As a reader sees it."""
        scores = (
            f"{self.scale * self.recorded:.2f} recorded, {self.scale * self.found:.2f} scored again on {self.rows} rows"
        )
        return f"{self.folder}: {scores}; logits differ by at most {self.largest:.1g}"


def choose(made: Sequence[Made], *, count: int, seed: int) -> list[Made]:
    """Up to `count` trained models, drawn at random."""
    models = [each for each in made if each.stage in MODEL_STAGES]
    return models if len(models) <= count else random.Random(seed).sample(models, count)


def rescored(models: Sequence[Made], *, artefacts: Mapping[str, Made], tolerance: float) -> Iterator[tuple[str, bool]]:
    """For each model what came of scoring it again, in words, and whether it is as recorded."""
    for model in models:
        try:
            outcome = rescore(model, artefacts=artefacts)
        except UserError as error:
            yield str(error), False
        else:
            yield outcome.line(), outcome.agrees(tolerance=tolerance)


def rescore(model: Made, *, artefacts: Mapping[str, Made]) -> Rescored:
    """Score a model again on the validation rows that it was scored on.

    Args:
        model: a teacher or student.
        artefacts: by key; its data is among them.

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
    """By validation split."""
    loaded = load_model(model.folder)
    kind = dataset.task_kind
    tokenizer = load_tokenizer(model.folder) if kind.tokenised else None
    longest = model.recipe["training"]["max_length"]
    return {
        split: predict(loaded, read_split(dataset, split, tokenizer=tokenizer, max_length=longest), kind=kind)
        for split in dataset.validation
    }
