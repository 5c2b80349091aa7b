"""Texts, labels and names that no one expects: taken as they are, or refused in one line; never a wrong row."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tests.unit.made import prepare
from tests.unit.refusals import refused

from distilgrid.core.errors import UserError
from distilgrid.plan.settings import Grid
from distilgrid.tasks.dataset import Dataset, content_id, example_ids, open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

PLAIN = [(f"text {i}", "ab"[i % 2]) for i in range(40)]
LONG = "word " * 200_000
Prepare = Callable[..., Dataset]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """Prepares a table of texts and labels, or the bytes of a CSV file."""

    def run(content: bytes | pa.Table, **spec: Any) -> Dataset:
        path = tmp_path / f"rows.{'csv' if isinstance(content, bytes) else 'parquet'}"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            pq.write_table(content, path)
        fields = {"source": f"{path.suffix[1:]}:{path}", "text": ["text"], **spec}
        out = Path(tempfile.mkdtemp(dir=tmp_path)) / "out"  # rows of other recipes are no place for these
        prepare(task="own", spec=TaskSpec(**fields), data=Data(), out=out)
        return open_dataset(out)

    return run


def csv(*more: str, rows: list[tuple[str, str]] = PLAIN) -> bytes:
    return "\n".join(["text,label", *map(",".join, rows), *more, ""]).encode()


def table(texts: Any, labels: Any = ("a", "b") * 10) -> pa.Table:
    return pa.table({"text": texts, "label": list(labels)})


def kept(dataset: Dataset) -> list[str]:
    return [text for split in dataset.splits for text in dataset.split(split)["text_a"]]


@pytest.mark.parametrize(
    "text",
    [
        "🙂 👩‍👩‍👧‍👦",
        "مرحبا \u200fabc",
        "\u202eturned round",
        "nul\0within",
        "é decomposed",
        "x" * 1_000_000,
        LONG + "end",
    ],
    ids=["emoji", "right to left", "override", "nul", "combining", "one long word", "a megabyte"],
)
def test_an_odd_text_is_kept_to_the_last_character(prepared: Prepare, text: str) -> None:
    assert text in kept(prepared(csv(f'"{text}",a')))


@pytest.mark.parametrize("text", ["\0", "\u200b\u200b", "\u00a0 \u2060", "\ufeff", "\u202e"])
def test_a_text_that_shows_nothing_is_empty(prepared: Prepare, text: str) -> None:
    assert "row 41: column 'text' is empty" in refused(lambda: prepared(csv(f'"{text}",a')))


@pytest.mark.parametrize(
    ("row", "byte"),
    [(b"caf\xe9,a\n", "0xe9"), (b"lone \xed\xa0\x80 surrogate,a\n", "0xed")],
    ids=["latin-1", "surrogate"],
)
def test_a_csv_file_of_another_encoding_is_refused_with_the_line(prepared: Prepare, row: bytes, byte: str) -> None:
    said = refused(lambda: prepared(csv() + row))
    assert f"rows.csv: line 42: the byte {byte} is not UTF-8; save it as UTF-8" in said


def test_a_parquet_file_with_texts_that_are_no_utf8_is_refused(prepared: Prepare) -> None:
    texts = pa.array([*(b"t%d" % i for i in range(19)), b"\xed\xa0\x80"], pa.binary()).view(pa.string())
    assert "rows.parquet: " in refused(lambda: prepared(table(texts)))


@pytest.mark.parametrize(
    "values",
    [[b"t%d" % i for i in range(20)], [b"\xff%d" % i for i in range(20)], [[f"t{i}"] for i in range(20)]],
    ids=["bytes", "no UTF-8", "lists"],
)
def test_what_is_no_text_is_refused_instead_of_written_as_python_would(prepared: Prepare, values: list[Any]) -> None:
    said = refused(lambda: prepared(table(values)))
    assert "row 1: column 'text' holds no text" in said
    assert "row 1: column 'label' holds no text" in refused(lambda: prepared(table(list("xy") * 10, values)))


def test_numbers_are_texts(prepared: Prepare) -> None:
    assert "1.5" in kept(prepared(table([i / 2 for i in range(20)])))


def test_labels_may_be_of_any_writing(prepared: Prepare) -> None:
    rows = [(f"text {i}", ("🙂 gut", "سيئ", "a|b & c_d")[i % 3]) for i in range(60)]
    assert set(prepared(csv(rows=rows)).labels) == {"🙂 gut", "سيئ", "a|b & c_d"}


@pytest.mark.parametrize("label", ["a\0", "a\nb", "a\u202eb", "a\x1b[31m"])
def test_a_label_that_a_table_cannot_show_is_refused(prepared: Prepare, label: str) -> None:
    said = refused(lambda: prepared(csv(f'some text,"{label}"')))
    assert f"column 'label': label '{UserError(label)}' holds a control character" in said
    with pytest.raises(ValidationError, match="control characters"):
        TaskSpec(source="csv:rows.csv", text=["text"], labels=["a", label])


def test_rows_that_differ_have_different_ids() -> None:
    pairs = [("x\x1fq", "y"), ("x", "q\x1fy"), ("x", "qy"), ("xq", "y")]
    assert len({example_ids([[text] for text in row])[0] for row in pairs}) == len(pairs)


def test_ids_of_ordinary_rows_are_what_they_were() -> None:
    assert example_ids([["one"], ["two"]]) == [content_id(b"one\x1ftwo")]
    assert example_ids([["one\x1ftwo"]]) == [content_id(b"one\x1ftwo")]


@pytest.mark.parametrize(
    "source", ["csv:/tmp/nul\0.csv", "csv:/tmp/\ud800.csv", f"csv:/tmp/{'a' * 5000}.csv", "csv:/tmp"]
)
def test_a_path_that_cannot_be_is_refused(source: str, tmp_path: Path) -> None:
    spec = TaskSpec(source=source, text=["text"])
    refused(lambda: prepare(task="x", spec=spec, data=Data(), out=tmp_path / "out")).encode("utf-8")


def test_a_message_shows_what_would_turn_or_break_its_line() -> None:
    assert str(UserError("a\n\u202eb\ud800\u2066")) == "a\\n\\u202eb\\ud800\\u2066"


def test_a_name_too_long_for_a_folder_is_refused() -> None:
    with pytest.raises(ValidationError, match="at most 100 characters"):
        Grid(name="a" * 101, tasks=["t"], teachers=["t"], methods=["kd"], students=["s"], seeds=[0])


def test_a_megabyte_is_tokenised_as_any_other_text(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    from distilgrid.tasks.batching import encode

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.backend_tokenizer.enable_truncation(16)
    encodings = encode(tokenizer, ["good film", "good " * 200_000, "🙂" * 1000, "nul\0"], None, max_length=16)
    lengths = np.diff(encodings.offsets)
    assert lengths[1] == 16
    assert (lengths <= 16).all() and (lengths >= 3).all()


def test_frames_of_categories_are_texts(prepared: Prepare) -> None:
    frame = pd.DataFrame({"text": pd.Categorical([f"t{i}" for i in range(20)]), "label": ["a", "b"] * 10})
    assert "t0" in kept(prepared(pa.Table.from_pandas(frame)))
