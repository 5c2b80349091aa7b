"""GLUE from a local folder: its specs, its splits, and what its tables must say."""

import os
from pathlib import Path

import pandas as pd
import pytest
from tests.unit.made import prepare

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.sources import Folders
from distilgrid.tasks.spec import builtin_tasks


def test_glue_specs_are_complete() -> None:
    found = builtin_tasks()
    assert {"cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte"} <= found.keys()
    assert found["mnli"].validation == ["validation_matched", "validation_mismatched"]
    assert found["stsb"].kind == "number"
    assert found["cola"].metrics[0] == "matthews"


def test_a_glue_folder_without_the_task_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="DISTILGRID_GLUE_DIR") as caught:
        prepare(task="cola", spec=builtin_tasks()["cola"], data=Data(), folders=Folders(glue=tmp_path), out=out)
    assert str(tmp_path / "cola") in str(caught.value)


def glue_rows(folder: Path, name: str, count: int, *, pair: bool) -> None:
    columns = {"premise": [f"{name} {i}" for i in range(count)]}
    columns |= {"hypothesis": [f"so {i}" for i in range(count)]} if pair else {}
    frame = pd.DataFrame({**columns, "label": [i % 3 for i in range(count)], "idx": range(count)})
    folder.mkdir(exist_ok=True)
    frame.to_parquet(folder / f"{name}.parquet")


def test_subsets_of_official_splits_are_noted(tmp_path: Path) -> None:
    for name in ("train_subset", "validation_matched", "validation_mismatched_subset"):
        glue_rows(tmp_path / "mnli", name, 60, pair=True)
    prepare(
        task="mnli", spec=builtin_tasks()["mnli"], data=Data(), folders=Folders(glue=tmp_path), out=tmp_path / "out"
    )
    dataset = open_dataset(tmp_path / "out")
    assert [note.partition(":")[0] for note in dataset.notes] == ["train", "validation_mismatched"]
    assert set(dataset.splits) == {"train", "dev", "validation_matched", "validation_mismatched"}


needs_glue = pytest.mark.skipif(not os.environ.get("DISTILGRID_GLUE_DIR"), reason="DISTILGRID_GLUE_DIR is unset")


@needs_glue
def test_real_cola_is_prepared(tmp_path: Path) -> None:
    glue_dir = Path(os.environ["DISTILGRID_GLUE_DIR"])
    prepare(
        task="cola", spec=builtin_tasks()["cola"], data=Data(), folders=Folders(glue=glue_dir), out=tmp_path / "out"
    )
    dataset = open_dataset(tmp_path / "out")
    rows = {name: split["rows"] for name, split in dataset.splits.items()}
    assert rows["validation"] == 1043
    left_out = dataset.details["alike"]["left_out"]["train"]
    assert rows["train"] + rows["dev"] + left_out == 8551
    assert left_out == 18  # texts of the training file that are validation rows as well
    known = set(dataset.split("validation")["text_a"].str.casefold())
    assert not known & set(dataset.split("train")["text_a"].str.casefold())
    assert dataset.splits["validation"]["label_counts"] == {"unacceptable": 322, "acceptable": 721}
    assert dataset.splits["dev"]["label_counts"]["acceptable"] / rows["dev"] == pytest.approx(6023 / 8551, abs=0.01)
    assert not set(dataset.split("train")["text_a"]) & set(dataset.split("dev")["text_a"])


@needs_glue
def test_real_mnli_is_prepared_with_both_validation_splits(tmp_path: Path) -> None:
    glue_dir = Path(os.environ["DISTILGRID_GLUE_DIR"])
    spec = builtin_tasks()["mnli"]
    prepare(task="mnli", spec=spec, data=Data(max_train_rows=600), folders=Folders(glue=glue_dir), out=tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert dataset.validation == ("validation_matched", "validation_mismatched")
    assert dataset.pair
    assert dataset.splits["validation_matched"]["rows"] == 9815
    assert dataset.splits["train"]["rows"] == 600
    subsets = {p.name.partition("_subset")[0] for p in (glue_dir / "mnli").glob("*_subset.parquet")}
    assert {note.partition(":")[0] for note in dataset.notes} == subsets
