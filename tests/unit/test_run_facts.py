"""Facts of a trained model: the generalisation gap, models that learned nothing, and the user's names of rows."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.conftest import sentences
from tests.unit.made import finetune, prepare
from torch.nn import functional as F

from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training
from distilgrid.training.training_set import read_split

pytestmark = pytest.mark.chain

TRAINING = Training(epochs=6, batch_size=16, learning_rate=2e-3, max_length=32, precision="fp32")


def trained(rows: pd.DataFrame, tiny_model: Path, folder: Path, **more: Any) -> dict[str, Any]:
    rows.to_csv(folder / "rows.csv", index=False)
    spec = TaskSpec(source=f"csv:{folder / 'rows.csv'}", text=["text"], label="sentiment", **more)
    prepare(task="reviews", spec=spec, data=Data(max_dev_rows=32), out=folder / "data")
    source, out = f"path:{tiny_model}", folder / "model"
    made: dict[str, Any] = finetune(data=folder / "data", source=source, training=TRAINING, seed=0, out=out, labels={})
    return made


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.DataFrame(sentences(400, seed=0), columns=["text", "sentiment"])


def test_the_gap_is_that_of_dev_to_training_rows(rows: pd.DataFrame, tiny_model: Path, tmp_path: Path) -> None:
    metrics = trained(rows, tiny_model, tmp_path)
    model, dataset = load_model(tmp_path / "model"), open_dataset(tmp_path / "data")
    encodings = read_split(dataset, "dev", tokenizer=load_tokenizer(tmp_path / "model"), max_length=32)
    labels = torch.from_numpy(dataset.split("dev")["label"].to_numpy(copy=True))
    with torch.inference_mode():
        loss = float(F.cross_entropy(model(**encodings.batch(range(len(labels)))).logits, labels))
    assert metrics["dev_loss"] == pytest.approx(loss, rel=1e-4)
    assert metrics["generalisation_gap"] == metrics["dev_loss"] - metrics["train_loss"]
    assert "constant" not in metrics


def test_a_model_that_answers_the_same_for_every_row_is_said_to_have_learned_nothing(
    rows: pd.DataFrame, tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rare = np.arange(len(rows)) % 16 == 0
    unrelated = rows.assign(sentiment=np.where(rare, "negative", "positive"))
    with caplog.at_level(logging.WARNING):
        metrics = trained(unrelated, tiny_model, tmp_path)
    assert metrics["constant"] is True
    assert "the model answers the same for every row: it learned nothing" in caplog.text


def test_predictions_keep_the_users_names_of_rows(rows: pd.DataFrame, tiny_model: Path, tmp_path: Path) -> None:
    given = rows.drop_duplicates("text").assign(review=lambda frame: [f"r-{i:04}" for i in range(len(frame))])
    trained(given, tiny_model, tmp_path, id="review")
    found = pd.read_parquet(tmp_path / "model" / "predictions.parquet")
    dataset = open_dataset(tmp_path / "data")
    texts = dict(zip(given["review"], given["text"], strict=True))
    assert [texts[name] for name in found["id"]] == dataset.split("validation")["text_a"].tolist()
    assert found.columns.tolist() == ["split", "example_id", "label", "id", "logits"]
