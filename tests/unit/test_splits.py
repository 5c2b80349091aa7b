"""Splits and caps of data in which one text is frequent, or a label rare."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.unit.made import prepare

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import Dataset, open_dataset, stratified_sample
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.splits import held_out


def made(folder: Path, rows: list[tuple[str, str]], *, data: dict[str, Any] | None = None, **spec: Any) -> Dataset:
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "rows.csv", index=False)
    given = TaskSpec(source=f"csv:{folder / 'rows.csv'}", text=["text"], **spec)
    prepare(task="own", spec=given, data=Data(**(data or {})), out=folder / "data")
    return open_dataset(folder / "data")


def frequent(count: int, *, others: int) -> list[tuple[str, str]]:
    """One text of label b that occurs `count` times, and others that occur once."""
    rows = [(f"text {n}", "ab"[n % 3 == 0]) for n in range(others)] + [("thanks", "b")] * count
    return [rows[n] for n in np.random.default_rng(0).permutation(len(rows))]


def rows_of(dataset: Dataset) -> dict[str, int]:
    return {name: split["rows"] for name, split in dataset.splits.items()}


@pytest.mark.parametrize("seed", range(6))
def test_shares_and_caps_hold_although_one_text_is_frequent(tmp_path: Path, seed: int) -> None:
    data = {"seed": seed, "max_train_rows": 60, "max_validation_rows": 50}
    dataset = made(tmp_path, frequent(200, others=400), data=data)
    assert rows_of(dataset) == {"train": 60, "validation": 50, "dev": 48}
    assert dataset.notes == ()
    found = [set(dataset.split(name)["text_a"]) for name in dataset.splits]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])


def test_a_frequent_text_in_many_spellings_stays_in_one_split(tmp_path: Path) -> None:
    spelt = ["ok", "OK", "Ok!", "o k", " ok. "]
    rows = [(f"text {n}", "ab"[n % 2]) for n in range(400)] + [(spelt[n % 5], "b") for n in range(200)]
    dataset = made(tmp_path, [rows[n] for n in np.random.default_rng(0).permutation(len(rows))])
    assert rows_of(dataset) == {"train": 432, "validation": 120, "dev": 48}
    assert dataset.details["alike"]["left_out"] == {"train": 0}, "no row is lost to a split that holds its text"


def test_splits_keep_the_shares_of_labels_as_well_as_a_frequent_text_lets_them(tmp_path: Path) -> None:
    dataset = made(tmp_path, frequent(100, others=400))
    assert rows_of(dataset) == {"train": 360, "validation": 100, "dev": 40}
    for name, shares in (("validation", 0.47), ("dev", 0.47)):
        counts = dataset.splits[name]["label_counts"]
        assert counts["b"] / dataset.splits[name]["rows"] == pytest.approx(shares, abs=0.03)


def test_a_share_that_equal_texts_break_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [(f"text {n % 10}", "ab"[n % 10 % 2]) for n in range(400)]
    dataset = made(tmp_path, rows, validation_fraction=0.05)
    assert rows_of(dataset) == {"train": 320, "validation": 40, "dev": 40}
    said = "validation: 40 rows in place of 20: equal texts stay together, and each label keeps some in train"
    assert dataset.notes == (said, said.replace("validation", "dev").replace("20", "36"))
    assert said in caplog.text


def test_a_capped_split_holds_its_share_of_a_frequent_text(tmp_path: Path) -> None:
    dataset = made(tmp_path, frequent(300, others=300), data={"max_train_rows": 60})
    copies = (dataset.split("train")["text_a"] == "thanks").sum()
    assert 33 <= copies <= 46, "300 of 432 rows"


def test_a_label_of_one_text_alone_leaves_rows_of_the_other_in_train(tmp_path: Path) -> None:
    rows = [("thanks", "b")] * 900 + [(f"text {n}", "a") for n in range(100)]
    splits = made(tmp_path, rows).splits
    assert {name: split["label_counts"] for name, split in splits.items()} == {
        "train": {"a": 25, "b": 900},
        "validation": {"a": 50, "b": 0},
        "dev": {"a": 25, "b": 0},
    }


@pytest.mark.parametrize("kind", [{}, {"kind": "number", "metrics": ["pearson"]}])
def test_a_text_in_nine_of_ten_rows_leaves_other_texts_in_each_split(tmp_path: Path, kind: dict[str, Any]) -> None:
    rows = [("thanks", str(n % 2)) for n in range(900)] + [(f"text {n}", str(n % 2)) for n in range(100)]
    dataset = made(tmp_path, rows, **kind)
    texts = {name: set(dataset.split(name)["text_a"]) for name in dataset.splits}
    assert "thanks" in texts["train"] and len(texts["train"]) >= 25
    assert len(texts["validation"]) >= 40 and len(texts["dev"]) >= 20
    assert rows_of(dataset)["dev"] == len(texts["dev"]) and len(dataset.notes) == 2


def test_a_text_that_is_nearly_all_rows_is_no_split(tmp_path: Path) -> None:
    rows = [("thanks", "ab"[n % 2]) for n in range(100)] + [("text 1", "a"), ("text 2", "b")]
    with pytest.raises(UserError, match=r"102 training row\(s\) with 3 different texts are too few to hold out"):
        made(tmp_path, rows)


def test_too_few_different_texts_are_said(tmp_path: Path) -> None:
    rows = [(["yes", "no"][n % 2], "ab"[n % 2]) for n in range(100)]
    with pytest.raises(UserError, match=r"100 training row\(s\) with 2 different texts are too few to hold out"):
        made(tmp_path, rows)


def test_a_cap_below_the_number_of_labels_is_said(tmp_path: Path) -> None:
    rows = [(f"text {n}", f"label-{n % 8}") for n in range(160)]
    dataset = made(tmp_path, rows, data={"max_train_rows": 4})
    assert rows_of(dataset)["train"] == 8
    assert dataset.notes == ("train: 8 rows in place of 4: each label keeps a row",)


def test_a_cap_counts_the_rows_of_rare_labels() -> None:
    labels = np.array([0] * 400 + list(range(1, 31)))
    ids = np.arange(len(labels))
    for count in (31, 60, 200):
        taken = stratified_sample(ids, labels, count=count, seed=0, purpose="train")
        assert taken.sum() == count
        assert set(labels[taken]) == set(range(31))


def test_every_label_with_rows_to_spare_is_held_out(tmp_path: Path) -> None:
    rows = [(f"text {n}", "a") for n in range(300)] + [(f"rare {n}", "b") for n in range(3)]
    for name, split in made(tmp_path, rows).splits.items():
        assert split["label_counts"]["b"] == 1, name


def test_held_out_rows_are_whole_sets_of_equal_rows_near_the_count() -> None:
    draw = np.random.default_rng(0)
    for _ in range(40):
        copies = draw.integers(1, 40, size=draw.integers(5, 60))
        ids = np.repeat(draw.permutation(1000)[: len(copies)], copies)
        labels = draw.integers(0, 3, size=len(ids))  # equal texts may have several labels
        count = int(draw.integers(1, len(ids)))
        mask = held_out(ids, labels, list(map(str, ids)), count=count, seed=1, purpose="dev")
        out, kept = Counter(ids[mask]), Counter(ids[~mask])
        assert not out.keys() & kept.keys()
        assert set(labels[~mask]) == set(labels)
        assert mask.sum() <= count + max(copies), count
