"""Rows that splits share: those of validation are left out of train and dev, others are counted and said."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.unit.made import prepare

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

LONG = "the committee will meet again on friday to talk about the new budget {}"
COMMON = [f"row {n} says word {n * 7} and word {n * 11} of {n * 13}" for n in range(40)]


def made(folder: Path, rows: dict[str, list[str]], **spec: Any) -> Dataset:
    flat = [(name, text) for name, texts in rows.items() for text in texts]
    frame = pd.DataFrame(flat, columns=["part", "text"])
    frame["label"] = ["ab"[n % 2] for n in range(len(frame))]
    frame.to_parquet(folder / "rows.parquet", index=False)
    given = {"source": f"parquet:{folder / 'rows.parquet'}", "text": ["text"], "label": "label", "split_column": "part"}
    prepare(task="own", spec=TaskSpec(**(given | spec)), data=Data(), out=folder / "data")
    return open_dataset(folder / "data")


def test_validation_texts_are_left_out_of_train_and_dev_and_the_rest_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {
        "train": [*COMMON, "A Man, plays!", LONG.format("today")],
        "dev": ["in dev alone", "a  man plays", COMMON[0].upper(), "another of dev"],
        "validation": ["a man plays.", LONG.format("here"), "seen by nobody", "nor is this"],
    }
    with caplog.at_level("INFO"):
        dataset = made(tmp_path, rows)
    assert dataset.split("train")["text_a"].tolist() == [*COMMON, LONG.format("today")]
    assert dataset.split("dev")["text_a"].tolist() == ["in dev alone", COMMON[0].upper(), "another of dev"]
    assert dataset.split("validation")["text_a"].tolist() == rows["validation"]
    assert read_json(dataset.folder / "dataset.json")["alike"] == {
        "left_out": {"train": 1, "dev": 1},
        "train": {"dev": {"equal": 1, "near": 0}, "validation": {"equal": 0, "near": 1}},
        "dev": {"validation": {"equal": 0, "near": 0}},
    }
    assert "1 rows of train left out: their texts are those of validation rows" in caplog.text
    assert "0 rows of validation equal to a row of train, 1 near one" in caplog.text


def test_rows_held_out_of_train_leave_none_alike_behind(tmp_path: Path) -> None:
    texts = [f"{text}{mark}" for text in COMMON for mark in ("", " !")]
    frame = pd.DataFrame({"text": texts, "label": ["ab"[n // 2 % 2] for n in range(len(texts))]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    spec = TaskSpec(source=f"csv:{tmp_path / 'rows.csv'}", text=["text"], label="label")
    prepare(task="own", spec=spec, data=Data(), out=tmp_path / "data")
    dataset = open_dataset(tmp_path / "data")
    scored = {text.removesuffix(" !") for text in dataset.split("validation")["text_a"]}
    for name in ("train", "dev"):
        assert scored.isdisjoint(text.removesuffix(" !") for text in dataset.split(name)["text_a"])
    found = read_json(dataset.folder / "dataset.json")["alike"]
    assert found["left_out"]["train"] > 0
    assert sum(len(dataset.split(name)) for name in dataset.splits) + found["left_out"]["train"] == len(texts)


def test_a_split_that_repeats_validation_alone_is_refused(tmp_path: Path) -> None:
    rows = {"train": ["One.", "Two."], "validation": ["one", "two"], "dev": ["three", "four"]}
    with pytest.raises(UserError, match="all rows of 'train' are validation rows, apart from case"):
        made(tmp_path, rows)
