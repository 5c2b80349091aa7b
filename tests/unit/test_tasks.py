"""From a user's file to prepared splits: what is refused, what is kept, and which rows go where."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.unit.made import prepare
from tests.unit.refusals import refused

from distilgrid.tasks.dataset import Dataset, limit_rows, open_dataset, texts
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

Prepare = Callable[..., Dataset]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """Prepares rows from a file's text or frame, by a spec given as keywords."""
    made = iter(range(99))

    def run(content: str | pd.DataFrame, *, data: dict[str, Any] | None = None, **spec: Any) -> Dataset:
        number = next(made)
        if isinstance(content, str):
            path = tmp_path / f"rows-{number}.csv"
            path.write_text(content, encoding="utf-8")
        else:
            path = tmp_path / f"rows-{number}.parquet"
            content.to_parquet(path, index=False)
        fields = {"source": f"{path.suffix[1:]}:{path}", "text": ["text"], "label": "label", **spec}
        out = tmp_path / f"prepared-{number}"
        prepare(task="own", spec=TaskSpec(**fields), data=Data(**(data or {})), out=out)
        return open_dataset(out)

    return run


def csv(rows: list[tuple[str, str]], header: str = "text,label") -> str:
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def balanced(count: int) -> list[tuple[str, str]]:
    """Rows with three labels in the shares 60, 30 and 10 per cent."""
    return [(f"text number {i}", "aaaaaabbbc"[i % 10]) for i in range(count)]


def all_texts(dataset: Dataset) -> dict[str, list[str]]:
    return {name: dataset.split(name)["text_a"].tolist() for name in dataset.splits}


# What is refused ------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    spec = TaskSpec(source=f"csv:{tmp_path}/absent.csv", text=["text"])
    message = refused(lambda: prepare(task="x", spec=spec, data=Data(), out=tmp_path / "out"))
    assert "absent.csv: no such file" in message


@pytest.mark.parametrize(
    "spec", [{"label": "lable"}, {"text": ["txt"]}, {"kind": "number", "metrics": ["pearson"], "label": "lable"}]
)
def test_a_missing_column_is_named_with_the_nearest(prepared: Prepare, spec: dict[str, Any]) -> None:
    message = refused(lambda: prepared(csv(balanced(20)), **spec))
    assert "no column" in message
    assert "did you mean" in message


def test_a_label_outside_the_set_is_named_with_its_row(prepared: Prepare) -> None:
    rows = [*balanced(20)[:6], ("odd one", "z"), *balanced(20)[7:]]
    message = refused(lambda: prepared(csv(rows), labels=["a", "b", "c"]))
    assert "row 7: label 'z' is outside the set (a, b, c)" in message


def test_a_label_that_only_validation_holds_is_refused(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text(csv([("x", "a"), ("y", "new")]))
    message = refused(lambda: prepared(csv(balanced(20)), validation_source=f"csv:{tmp_path}/v.csv"))
    assert "v.csv" in message
    assert "row 2: label 'new'" in message


@pytest.mark.parametrize("content", ["text,label\n", ""])
def test_an_empty_file_is_refused(prepared: Prepare, content: str) -> None:
    message = refused(lambda: prepared(content))
    assert "no rows" in message if content else "cannot be read" in message


def test_an_empty_validation_file_is_refused(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("text,label\n")
    message = refused(lambda: prepared(csv(balanced(20)), validation_source=f"csv:{tmp_path}/v.csv"))
    assert "v.csv" in message
    assert "no rows" in message


@pytest.mark.parametrize("blank", ["", "   ", '""'])
def test_an_empty_text_is_refused_with_its_row(prepared: Prepare, blank: str) -> None:
    rows = [*balanced(4), (blank, "a"), *balanced(20)]
    assert "row 5: column 'text' is empty" in refused(lambda: prepared(csv(rows)))


@pytest.mark.parametrize("blank", [None, np.nan, "", " "])
def test_an_empty_text_in_parquet_is_refused_with_its_row(prepared: Prepare, blank: object) -> None:
    rows: list[tuple[object, str]] = [*balanced(2), (blank, "a"), *balanced(20)]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    assert "row 3: column 'text' is empty" in refused(lambda: prepared(frame))


def test_an_empty_label_is_refused_with_its_row(prepared: Prepare) -> None:
    rows = [*balanced(3), ("no label", ""), *balanced(20)]
    assert "row 4: column 'label' is empty" in refused(lambda: prepared(csv(rows)))


def test_one_label_only_is_refused(prepared: Prepare) -> None:
    assert "1 label(s)" in refused(lambda: prepared(csv([(f"t{i}", "a") for i in range(20)])))


def test_f1_of_three_labels_is_refused(prepared: Prepare) -> None:
    assert "f1" in refused(lambda: prepared(csv(balanced(20)), metrics=["f1"]))


def test_an_unknown_split_value_is_refused(prepared: Prepare) -> None:
    content = csv([("x", "a,train"), ("y", "b,trian")], header="text,label,part")
    message = refused(lambda: prepared(content, split_column="part"))
    assert "'part'" in message
    assert "trian" in message


@pytest.mark.parametrize("spec", [{}, {"kind": "number", "metrics": ["pearson"]}])
def test_a_split_column_without_training_rows_is_refused(prepared: Prepare, spec: dict[str, Any]) -> None:
    content = csv([("x", "1,validation"), ("y", "2,dev")], header="text,label,part")
    assert "no row as train" in refused(lambda: prepared(content, split_column="part", **spec))


def test_a_missing_split_column_is_refused(prepared: Prepare) -> None:
    assert "no column 'part'" in refused(lambda: prepared(csv(balanced(20)), split_column="part"))


def test_a_validation_split_without_rows_is_refused(prepared: Prepare) -> None:
    message = refused(lambda: prepared(csv(balanced(50)), validation=["validation", "hard"]))
    assert "'hard'" in message


def test_too_few_rows_to_split_are_refused(prepared: Prepare) -> None:
    assert "too few" in refused(lambda: prepared(csv([("x", "a"), ("y", "b")])))


@pytest.mark.parametrize("label", ["high", "nan", "inf"])
def test_a_label_that_is_no_number_is_refused_in_a_regression(prepared: Prepare, label: str) -> None:
    rows = [("x", "1.5"), ("y", label), ("z", "2")]
    assert f"row 2: label '{label}'" in refused(lambda: prepared(csv(rows), kind="number", metrics=["pearson"]))


def test_unquoted_commas_are_refused(prepared: Prepare) -> None:
    content = "text,label\n" + "".join(f"well, number {i},{'ab'[i % 2]}\n" for i in range(20))
    assert "more fields than the header" in refused(lambda: prepared(content))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"no parquet")
    spec = TaskSpec(source=f"parquet:{path}", text=["text"])
    message = refused(lambda: prepare(task="x", spec=spec, data=Data(), out=tmp_path / "out"))
    assert "rows.parquet: cannot be read as a table" in message


def test_nothing_is_written_for_refused_rows(prepared: Prepare, tmp_path: Path) -> None:
    refused(lambda: prepared(csv([("x", "a")])))
    assert not (tmp_path / "prepared-0").exists()


# What is kept ---------------------------------------------------------------------------------------------------------


def test_texts_that_look_missing_are_texts(prepared: Prepare) -> None:
    odd = ["NA", "null", "None", "nan", "N/A", "<NA>", "0", "1e5"]
    rows = [(text, "ab"[i % 2]) for i, text in enumerate(odd)] + balanced(20)[:2]
    splits = all_texts(prepared(csv(rows)))
    assert sorted(t for split in splits.values() for t in split) == sorted(text for text, _ in rows)


def test_labels_that_look_missing_are_labels_where_they_are_listed(prepared: Prepare) -> None:
    rows = [(f"text {i}", ["None", "NA"][i % 2]) for i in range(20)]
    assert prepared(csv(rows), labels=["NA", "None"]).labels == ("NA", "None")


def test_number_labels_are_ordered_by_value(prepared: Prepare) -> None:
    rows = [(f"text {i}", str(i % 11)) for i in range(60)]
    assert prepared(csv(rows)).labels == tuple(str(i) for i in range(11))


def test_the_given_order_of_labels_numbers_them(prepared: Prepare) -> None:
    dataset = prepared(csv(balanced(100)), labels=["c", "a", "b"])
    frame = dataset.split("train")
    wanted = dict(balanced(100))
    assert [dataset.labels[i] for i in frame["label"]] == [wanted[text] for text in frame["text_a"]]
    assert frame["label"].dtype == np.int64


def test_integer_labels_index_word_labels_and_name_number_labels(prepared: Prepare) -> None:
    frame = pd.DataFrame({"text": [f"text {i}" for i in range(20)], "label": [i % 2 for i in range(20)]})
    words = prepared(frame, labels=["negative", "positive"]).split("train")
    assert all(label == int(text.split()[1]) % 2 for text, label in zip(words["text_a"], words["label"], strict=True))
    swapped = prepared(frame, labels=["1", "0"]).split("train")
    assert all(
        label != int(text.split()[1]) % 2 for text, label in zip(swapped["text_a"], swapped["label"], strict=True)
    )
    assert "row 1: label '0'" in refused(lambda: prepared(frame, labels=["1", "2"]))


def test_sentence_pairs_keep_both_texts(prepared: Prepare) -> None:
    content = "a,b,label\n" + "".join(f"left {i},right {i},{'xy'[i % 2]}\n" for i in range(40))
    dataset = prepared(content, text=["a", "b"])
    first, second = texts(dataset.split("train"))
    assert dataset.pair
    assert second is not None
    assert [t.replace("left", "right") for t in first] == second
    assert not prepared(csv(balanced(20))).pair


def test_a_regression_keeps_its_numbers(prepared: Prepare) -> None:
    rows = [(f"text {i}", f"{i / 10}") for i in range(50)]
    dataset = prepared(csv(rows), kind="number", metrics=["pearson", "spearman"])
    assert (dataset.labels, dataset.kind, dataset.outputs) == ((), "number", 1)
    frame = pd.concat([dataset.split(name) for name in dataset.splits])
    assert dict(zip(frame["text_a"], frame["label"], strict=True)) == {t: float(v) for t, v in rows}
    assert frame["label"].dtype == np.float64


def test_a_parquet_file_gives_the_rows_of_the_same_csv(prepared: Prepare) -> None:
    frame = pd.DataFrame(balanced(60), columns=["text", "label"])
    from_csv, from_parquet = prepared(csv(balanced(60))), prepared(frame)
    for name in from_csv.splits:
        pd.testing.assert_frame_equal(from_csv.split(name), from_parquet.split(name))


def test_quoted_fields_and_a_byte_order_mark_are_read(prepared: Prepare) -> None:
    content = "\ufefftext,label\n" + "".join(f'"well, ""number"" {i}\nnext line",{"ab"[i % 2]}\n' for i in range(20))
    found = [t for split in all_texts(prepared(content)).values() for t in split]
    assert sorted(found) == sorted(f'well, "number" {i}\nnext line' for i in range(20))


def test_a_split_column_decides_the_splits(prepared: Prepare) -> None:
    parts = ["train", "train", "dev", "validation"]
    content = csv([(f"t{i}", f"{'ab'[i % 2]},{parts[i % 4]}") for i in range(40)], header="text,label,part")
    splits = all_texts(prepared(content, split_column="part"))
    assert {name: set(rows) for name, rows in splits.items()} == {
        part: {f"t{i}" for i in range(40) if parts[i % 4] == part} for part in set(parts)
    }


def test_a_validation_file_gives_the_validation_rows(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text(csv([("held", "a"), ("out", "b")]))
    dataset = prepared(csv(balanced(50)), validation_source=f"csv:{tmp_path}/v.csv")
    splits = all_texts(dataset)
    assert splits["validation"] == ["held", "out"]
    assert sorted(splits["train"] + splits["dev"]) == sorted(text for text, _ in balanced(50))


def test_the_description_counts_labels(prepared: Prepare) -> None:
    dataset = prepared(csv(balanced(200)), metrics=["accuracy", "matthews"])
    assert (dataset.task, dataset.metrics, dataset.validation) == ("own", ("accuracy", "matthews"), ("validation",))
    for name, split in dataset.splits.items():
        counts = Counter(dataset.labels[i] for i in dataset.split(name)["label"])
        assert split == {"rows": len(dataset.split(name)), "label_counts": dict(sorted(counts.items()))}


def test_an_unknown_split_of_a_data_set_is_refused(prepared: Prepare) -> None:
    dataset = prepared(csv(balanced(30)))
    assert "did you mean 'validation'?" in refused(lambda: dataset.split("validaton"))


# Which rows go where --------------------------------------------------------------------------------------------------


def test_splits_are_disjoint_and_lose_nothing(prepared: Prepare) -> None:
    splits = all_texts(prepared(csv(balanced(300))))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 216, "dev": 24, "validation": 60}
    assert sorted(text for rows in splits.values() for text in rows) == sorted(text for text, _ in balanced(300))


def test_equal_texts_are_never_in_two_splits(prepared: Prepare) -> None:
    rows = [(f"text {i % 97}", "ab"[i % 97 % 2] if i % 5 else "b") for i in range(600)]
    splits = all_texts(prepared(csv(rows), data={"max_train_rows": 200}))
    found = [set(rows) for rows in splits.values()]
    assert all(found)
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])


def test_splits_keep_the_shares_of_the_labels(prepared: Prepare) -> None:
    for split in prepared(csv(balanced(500))).splits.values():
        shares = {label: count / split["rows"] for label, count in split["label_counts"].items()}
        assert shares == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.02)


def test_splits_do_not_depend_on_the_order_of_rows(prepared: Prepare) -> None:
    rows = balanced(200)
    data = {"max_train_rows": 50, "max_dev_rows": 9}
    one, other = (all_texts(prepared(csv(r), data=data)) for r in (rows, rows[::-1]))
    assert {name: sorted(t) for name, t in one.items()} == {name: sorted(t) for name, t in other.items()}


def test_the_seed_of_the_data_decides_the_splits(prepared: Prepare) -> None:
    splits = [all_texts(prepared(csv(balanced(200)), data={"seed": seed})) for seed in (0, 0, 1)]
    assert splits[0] == splits[1]
    assert splits[0]["validation"] != splits[2]["validation"]
    assert splits[0]["dev"] != splits[2]["dev"]


def test_caps_hold_and_rows_over_the_dev_cap_stay_in_training(prepared: Prepare) -> None:
    dataset = prepared(csv(balanced(400)), data={"max_dev_rows": 10})
    assert {name: split["rows"] for name, split in dataset.splits.items()} == {
        "train": 310,
        "dev": 10,
        "validation": 80,
    }
    capped = prepared(csv(balanced(400)), data={"max_dev_rows": 10, "max_train_rows": 100})
    assert {name: split["rows"] for name, split in capped.splits.items()} == {"train": 100, "dev": 10, "validation": 80}


def test_a_cap_on_validation_rows_keeps_the_shares_and_is_said(prepared: Prepare) -> None:
    rows = [(text, label, "train" if i < 200 else "validation") for i, (text, label) in enumerate(balanced(300))]
    content = "text,label,part\n" + "".join(",".join(row) + "\n" for row in rows)
    dataset = prepared(content, split_column="part", data={"max_validation_rows": 20})
    assert dataset.splits["validation"]["label_counts"] == {"a": 12, "b": 6, "c": 2}
    assert dataset.notes == ("validation: 20 of 100 rows",)


def test_a_rare_label_stays_in_training(prepared: Prepare) -> None:
    rows = [(f"text {i}", "ab"[i % 2]) for i in range(40)] + [(f"rare {i}", f"rare-{i}") for i in range(12)]
    counts = prepared(csv(rows), data={"dev_fraction": 0.5}).splits["train"]["label_counts"]
    assert min(counts.values()) >= 1


def test_a_capped_training_set_keeps_every_label(prepared: Prepare) -> None:
    rows = [(f"text {i}", "a") for i in range(200)] + [(f"rare {i}", "b") for i in range(4)]
    assert prepared(csv(rows), data={"max_train_rows": 20}).splits["train"]["label_counts"]["b"] >= 1


def test_the_share_of_one_per_cent_is_within_that_of_ten(prepared: Prepare) -> None:
    frame = prepared(csv(balanced(2000))).split("train")
    parts = [
        set(limit_rows(frame, round(share * len(frame)), seed=0, kind=LABEL, purpose="fraction")["text_a"])
        for share in (0.01, 0.1, 0.5)
    ]
    assert parts[0] < parts[1] < parts[2]
    assert len(parts[1]) == round(0.1 * len(frame))
