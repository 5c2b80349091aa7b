"""Rows that splits share: those of validation are left out of train and dev, others are counted and said."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.unit.made import prepare
from tests.unit.pictures import encoded

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.stages.prepare.declare import PrepareSettings
from distilgrid.stages.table import STAGES
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.sources import Folders
from distilgrid.tasks.spec import TaskSpec, find_task

LONG = "the committee will meet again on friday to talk about the new budget {}"
COMMON = [f"row {n} says word {n * 7} and word {n * 11} of {n * 13}" for n in range(40)]


def made(folder: Path, rows: dict[str, list[str]], *, data: Data | None = None, **spec: Any) -> Dataset:
    flat = [(name, text) for name, texts in rows.items() for text in texts]
    frame = pd.DataFrame(flat, columns=["part", "text"])
    frame["label"] = ["ab"[n % 2] for n in range(len(frame))]
    frame.to_parquet(folder / "rows.parquet", index=False)
    given = {"source": f"parquet:{folder / 'rows.parquet'}", "text": ["text"], "label": "label", "split_column": "part"}
    prepare(task="own", spec=TaskSpec(**(given | spec)), data=data or Data(), out=folder / "data")
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
    assert "42 given; 1 left out, as they are like validation rows" in caplog.text
    assert "73 characters; 1 near a row of train" in caplog.text


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
    assert found["left_out"]["train"] == 0
    assert sum(len(dataset.split(name)) for name in dataset.splits) == len(texts)


def test_a_split_that_repeats_validation_alone_is_refused(tmp_path: Path) -> None:
    rows = {"train": ["One.", "Two."], "validation": ["one", "two"], "dev": ["three", "four"]}
    with pytest.raises(UserError, match="all rows of 'train' are validation rows, apart from case"):
        made(tmp_path, rows)


def test_rows_near_validation_are_left_out_on_request(tmp_path: Path) -> None:
    rows = {
        "train": [*COMMON, "A man plays!", LONG.format("today")],
        "dev": ["in dev alone", LONG.format("now"), "another of dev"],
        "validation": ["a man plays.", LONG.format("here")],
    }
    (tmp_path / "near").mkdir()
    assert len(made(tmp_path, rows).split("train")) == 41
    dataset = made(tmp_path / "near", rows, data=Data(leave_out_near=True))
    assert dataset.split("train")["text_a"].tolist() == COMMON
    assert dataset.split("dev")["text_a"].tolist() == ["in dev alone", "another of dev"]
    found = read_json(dataset.folder / "dataset.json")["alike"]
    assert found["left_out"] == {"train": 2, "dev": 1}
    assert found["train"]["validation"] == found["dev"]["validation"] == {"equal": 0, "near": 0}
    rows["dev"] = [LONG.format("now")]
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"all rows of 'dev' are validation rows.*, or near one; give other rows"):
        made(tmp_path / "none", rows, data=Data(leave_out_near=True))


def test_the_key_of_data_without_the_option_is_as_before(tmp_path: Path) -> None:
    spec, sources = find_task("docs-topic", {}), Folders()
    recipes = [
        STAGES["prepare"].recipe(PrepareSettings("docs-topic", spec, Data(leave_out_near=near), sources), {})
        for near in (False, True)
    ]
    assert "leave_out_near" not in recipes[0]["data"] and recipes[1]["data"]["leave_out_near"] is True


def test_images_of_a_file_that_are_validation_images_are_left_out(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(12, 4, 4, 3), dtype=np.uint8)
    numbers = [*range(8), 8, 9, 10, 0, 1]  # two validation images are training images, too
    frame = pd.DataFrame({"image": [encoded(pixels[n]) for n in numbers], "label": [n % 2 for n in numbers]})
    frame["part"] = ["train"] * 8 + ["dev"] * 2 + ["validation"] * 3
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    spec = TaskSpec(kind="image", source=f"parquet:{tmp_path / 'rows.parquet'}", split_column="part")
    prepare(task="own", spec=spec, data=Data(), out=tmp_path / "data")
    dataset = open_dataset(tmp_path / "data")
    assert {name: split["rows"] for name, split in dataset.splits.items()} == {"train": 6, "dev": 2, "validation": 3}
    found = read_json(dataset.folder / "dataset.json")
    assert found["alike"]["left_out"] == {"train": 2, "dev": 0}
    assert found["alike"]["train"] == {"dev": {"equal": 0}, "validation": {"equal": 0}}
    assert "train: 2 rows left out, as they are like validation rows" in found["cautions"]
