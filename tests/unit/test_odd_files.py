"""Files that a fuzz campaign found: taken whole or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tests.unit.made import prepare

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

TEXTS, LABELS = [f"text {i}" for i in range(40)], ["a", "b"] * 20


def prepared(path: Path, **spec: Any) -> Dataset:
    fields = {"source": f"{path.suffix[1:]}:{path}", "text": ["text"], **spec}
    prepare(task="own", spec=TaskSpec(**fields), data=Data(), out=path.with_name("out"))
    return open_dataset(path.with_name("out"))


def parquet(folder: Path, table: pa.Table) -> Path:
    pq.write_table(table, folder / "rows.parquet")
    return folder / "rows.parquet"


def kept(dataset: Dataset) -> list[str]:
    return sorted(text for split in dataset.splits for text in dataset.split(split)["text_a"])


@pytest.mark.parametrize("note", ["{}", "[]", "no json"])
def test_a_damaged_note_of_pandas_hides_no_rows(note: str, tmp_path: Path) -> None:
    table = pa.table({"text": TEXTS, "label": LABELS}).replace_schema_metadata({"pandas": note})
    assert kept(prepared(parquet(tmp_path, table))) == sorted(TEXTS)


def test_numbered_columns_of_pandas_are_found_by_name(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(pd.DataFrame({0: TEXTS, 1: LABELS}))
    assert kept(prepared(parquet(tmp_path, table), text=["0"], label="1")) == sorted(TEXTS)


@pytest.mark.parametrize("values", [[b"\xfftrain"] * 40, [["train"]] * 40, [{"split": "train"}] * 40])
def test_a_column_of_splits_that_holds_no_texts_is_refused(values: list[Any], tmp_path: Path) -> None:
    path = parquet(tmp_path, pa.table({"text": TEXTS, "label": LABELS, "part": values}))
    with pytest.raises(UserError, match=r"rows\.parquet: row 1: column 'part' holds "):
        prepared(path, split_column="part")


@pytest.mark.parametrize("name", ["idna", "punycode", "undefined", "rot13", "nothing", "utf\0"])
def test_an_encoding_that_decodes_no_file_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="unknown encoding"):
        TaskSpec(source="csv:rows.csv", text=["text"], encoding=name)


@pytest.mark.parametrize("other", ["two", "2", "1.5", "2020-01-01"])
def test_what_is_outside_a_set_with_minus_one_is_not_minus_one(other: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"{text},{('1', '-1', other)[i % 3]}\n" for i, text in enumerate(TEXTS)))
    with pytest.raises(UserError, match=f"row 3: label '{other}' is outside the set"):
        prepared(path, labels=["-1", "1"])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_null_character_in_a_text_is_none_in_the_header(end: str, tmp_path: Path) -> None:
    texts, path = [f"{text}\0" for text in TEXTS], tmp_path / "rows.csv"
    lines = ["text,label", *(",".join(row) for row in zip(texts, LABELS, strict=True)), ""]
    path.write_text(end.join(lines), newline="")
    assert kept(prepared(path)) == sorted(texts)


def test_a_number_beyond_all_floats_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": text, "label": 10**400 if i == 7 else i} for i, text in enumerate(TEXTS)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(UserError, match=r"row 8: label '10+' in 'label' is not a number"):
        prepared(path, kind="number", metrics=["pearson"])


def test_labels_of_thousands_of_digits_are_labels(tmp_path: Path) -> None:
    path, long = tmp_path / "rows.csv", "9" * 5000
    path.write_text("text,label\n" + "".join(f"{text},{('1', long)[i % 2]}\n" for i, text in enumerate(TEXTS)))
    assert set(prepared(path).labels) == {"1", long}
