"""Files as other programs write them: separators, encodings, compression, names of columns."""

import bz2
import gzip
import io
import json
import logging
import lzma
import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tests.unit.made import prepare
from tests.unit.refusals import refused

from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

ROWS = [(f"a text, no {i}", "no" if i % 2 else "yes") for i in range(30)]
Prepare = Callable[..., Dataset]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """Prepares the bytes of a file; `source` begins with its scheme."""

    def run(content: bytes, *, name: str = "rows.csv", scheme: str = "csv", **spec: Any) -> Dataset:
        (tmp_path / name).write_bytes(content)
        fields = {"source": f"{scheme}:{tmp_path / name}", "text": ["text"], **spec}
        out = Path(tempfile.mkdtemp(dir=tmp_path)) / "out"  # rows of other recipes are no place for these
        prepare(task="own", spec=TaskSpec(**fields), data=Data(), out=out)
        return open_dataset(out)

    return run


def separated(separator: str, *, quoted: bool = False, header: str = "text,label") -> str:
    lines = [[f'"{text}"' if quoted else text, label] for text, label in ROWS]
    return "\n".join(map(separator.join, [header.split(","), *lines])) + "\n"


def pairs(dataset: Dataset) -> list[tuple[str, str]]:
    frame = pd.concat([dataset.split(name) for name in dataset.splits])
    return sorted((text, dataset.labels[label]) for text, label in zip(frame["text_a"], frame["label"], strict=True))


# Separators -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("separator", "said"), [("\t", "tabs"), (";", "semicolons"), ("|", "bars")])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_separator_is_recognised_and_said(
    prepared: Prepare, caplog: pytest.LogCaptureFixture, separator: str, said: str, name: str
) -> None:
    caplog.set_level(logging.INFO, logger="distilgrid")
    assert pairs(prepared(separated(separator).encode(), name=name)) == sorted(ROWS)
    assert f"{name}: columns are separated by {said}" in caplog.text


def test_commas_are_read_without_a_word(prepared: Prepare, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="distilgrid")
    assert pairs(prepared(separated(",", quoted=True).encode())) == sorted(ROWS)
    assert "separated" not in caplog.text


def test_a_comma_separates_where_a_name_holds_a_semicolon(prepared: Prepare) -> None:
    content = separated(",", quoted=True, header="text,good;bad").encode()
    assert pairs(prepared(content, label="good;bad")) == sorted(ROWS)


@pytest.mark.parametrize("given", ["\t", "\\t", "tab"])
def test_a_delimiter_can_be_set(prepared: Prepare, given: str) -> None:
    assert pairs(prepared(separated("\t").encode(), delimiter=given)) == sorted(ROWS)
    assert pairs(prepared(separated("~").encode(), delimiter="~")) == sorted(ROWS)


def test_a_wrong_delimiter_is_named_with_the_right_one(prepared: Prepare) -> None:
    said = refused(lambda: prepared(separated(";").encode(), delimiter=","))
    assert "rows.csv: columns are separated by semicolons, not by ','; correct the task's delimiter" in said


def test_a_misspelt_column_is_sought_within_the_recognised_ones(prepared: Prepare) -> None:
    assert "no column 'text'; did you mean 'txt'?" in refused(
        lambda: prepared(separated("\t", header="txt,label").encode())
    )


def test_a_validation_file_may_have_another_separator(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "held.csv").write_text("text|label\nheld out|no\nheld back|yes\n")
    dataset = prepared(separated(";").encode(), validation_source=f"csv:{tmp_path}/held.csv")
    assert dataset.split("validation")["text_a"].tolist() == ["held out", "held back"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("well, really, no,yes", "line 32 has more fields than the header (4 instead of 2); quote texts that hold ','"),
        ('"never closed,yes\nmore,no', "a quotation mark in line 32 is never closed"),
    ],
)
def test_a_row_that_does_not_suit_the_header_is_named_by_its_line(prepared: Prepare, row: str, said: str) -> None:
    assert said in refused(lambda: prepared((separated(",", quoted=True) + row + "\n").encode()))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_line_ends_of_every_system_are_read(prepared: Prepare, end: str) -> None:
    assert pairs(prepared(separated(";").replace("\n", end).encode())) == sorted(ROWS)


# Quotation marks ------------------------------------------------------------------------------------------------------

MERGED = ["plain one,no", '"best in town,no', *(f"plain {i},{label}" for i, (_, label) in enumerate(ROWS)), 'end",yes']


@pytest.mark.parametrize("separator", [",", ";"])
def test_rows_that_a_stray_quotation_mark_merges_are_flagged(
    prepared: Prepare, caplog: pytest.LogCaptureFixture, separator: str
) -> None:
    rows = ["text,label", *(f"first {i},{label}" for i, (_, label) in enumerate(ROWS)), *MERGED]
    dataset = prepared(("\n".join(rows) + "\n").replace(",", separator).encode())
    said = (
        f"rows.csv: row 32: column 'text' holds line breaks and '{separator}', as 1 row(s) do; a stray quotation mark"
    )
    assert said in caplog.text
    assert dataset.notes == (
        "rows.csv: a stray quotation mark merges rows: row 32 holds lines that read as rows, as 1 do",
    )


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_single_line_break_is_found(prepared: Prepare, caplog: pytest.LogCaptureFixture, end: str) -> None:
    prepared((separated(",", quoted=True) + f'"one,no\ntwo",yes{end}').encode())
    assert "row 31: column 'text' holds line breaks and ',', as 1 row(s) do" in caplog.text


def test_texts_of_several_lines_are_flagged_without_a_note_in_tables(
    prepared: Prepare, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "".join(f'"well, text {i}\nsecond line, too\nend",{label}\n' for i, (_, label) in enumerate(ROWS))
    dataset = prepared(f"text,label\n{rows}".encode())
    assert "row 1: column 'text' holds line breaks and ',', as 30 row(s) do" in caplog.text
    assert dataset.notes == ()


@pytest.mark.parametrize("text", ['"best" in town', '"say \\"hi\\" now"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_quotation_marks_that_get_lost_are_flagged(
    prepared: Prepare, caplog: pytest.LogCaptureFixture, text: str, encoding: str
) -> None:
    prepared((separated(";") + f"{text};no\nlast;yes\n").encode(encoding))
    assert "rows.csv: line 32: a text goes on after its closing quotation mark, and its marks are lost" in caplog.text


@pytest.mark.parametrize("text", ['"one\ntwo"', '"a comma, alone"', '"say ""yes"""'])
def test_other_quoted_texts_are_read_without_a_word(
    prepared: Prepare, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    prepared((separated(",", quoted=True) + f"{text},no\n").encode())
    assert caplog.text == ""


# Encodings ------------------------------------------------------------------------------------------------------------

FRENCH = separated(";").replace("a text", "un été")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le", "utf-8"])
def test_an_encoding_can_be_set(prepared: Prepare, encoding: str) -> None:
    read = pairs(prepared(FRENCH.encode(encoding), encoding=encoding))
    assert read == sorted((text.replace("a text", "un été"), label) for text, label in ROWS)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_names_the_encoding(prepared: Prepare, encoding: str) -> None:
    assert "un été, no 1" in [text for text, _ in pairs(prepared(FRENCH.encode(encoding)))]


@pytest.mark.parametrize(
    ("written", "spec", "shown"), [("cp1252", {}, "UTF-8"), ("latin-1", {"encoding": "ascii"}, "ASCII")]
)
def test_bytes_of_another_encoding_are_refused_with_the_setting(
    prepared: Prepare, written: str, spec: dict[str, str], shown: str
) -> None:
    said = refused(lambda: prepared(FRENCH.encode(written), **spec))
    assert f"rows.csv: line 2: the byte 0xe9 is not {shown}; save it as UTF-8, or set the task's encoding" in said


# Compression ----------------------------------------------------------------------------------------------------------


def zstandard(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def zipped(content: bytes, *names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in names or ("folder/rows.csv",):
            file.writestr(name, content)
    return archive.getvalue()


PACKERS = [gzip.compress, zstandard, bz2.compress, lzma.compress, zipped]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.csv.zst", "rows"])
def test_a_compressed_file_is_read_whatever_its_name(
    prepared: Prepare, pack: Callable[[bytes], bytes], name: str
) -> None:
    assert pairs(prepared(pack(separated("\t").encode()), name=name)) == sorted(ROWS)


def test_a_compressed_parquet_file_is_read(prepared: Prepare) -> None:
    held = io.BytesIO()
    pd.DataFrame(ROWS, columns=["text", "label"]).to_parquet(held)
    assert pairs(prepared(gzip.compress(held.getvalue(), mtime=0), name="rows.gz", scheme="parquet")) == sorted(ROWS)


@pytest.mark.parametrize("pack", PACKERS)
def test_half_a_compressed_file_is_refused(prepared: Prepare, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(separated("\t").encode())
    assert "rows.csv: " in (said := refused(lambda: prepared(packed[: len(packed) // 2])))
    assert "cannot be unpacked (" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped(b"text,label\n", "a.csv", "b.csv"), "zip archive of 2 files; unpack it and name one of them"),
        (zipped(b"<xml>", "[Content_Types].xml", "xl/sheet1.xml"), "a document of an office program; save the table"),
        (b"PAR1....", "is a parquet file; write parquet:"),
        (b'{"text": "x", "label": "y"}\n', "holds JSON lines; write jsonl:"),
        (b"sep=;\r\ntext;label\r\n", "line 1 is a note to Excel, no header; remove it"),
        ("text,label\n".encode("utf-16-le"), "null characters in the header; set the task's encoding, such as utf-16"),
    ],
    ids=["archive", "spreadsheet", "parquet", "JSON lines", "note to Excel", "UTF-16 without a mark"],
)
def test_a_file_of_another_format_is_refused_with_a_remedy(prepared: Prepare, content: bytes, said: str) -> None:
    assert said in refused(lambda: prepared(content))


@pytest.mark.parametrize(
    ("scheme", "content", "said"),
    [
        ("jsonl", b"PAR1....", "is a parquet file; write parquet: instead of jsonl:"),
        ("jsonl", gzip.compress(b"PAR1....", mtime=0), "is a parquet file; write parquet: instead of jsonl:"),
        ("jsonl", b"text,label\nx,y\n", "write csv: in the task's source if its rows are those of a table"),
        ("jsonl", b'{\n "text": "x",\n "label": "y"\n}\n', "line 1: not valid JSON (Expecting property name"),
        ("jsonl", b'{\n "text": "x",\n "label": "y"\n}\n', "; write each object whole in one line"),
        ("parquet", b"text,label\nx,y\n", "it is no parquet file; write csv: or jsonl:"),
        ("parquet", gzip.compress(b'{"text": "x"}', mtime=0), "it is no parquet file; write csv: or jsonl:"),
        ("parquet", b"", "it is no parquet file"),
        ("parquet", b"PAR1" + bytes(64), "cannot be read as a table ("),
    ],
)
def test_every_reader_refuses_the_files_of_others(prepared: Prepare, scheme: str, content: bytes, said: str) -> None:
    assert said in refused(lambda: prepared(content, scheme=scheme))


# JSON lines -----------------------------------------------------------------------------------------------------------


def lines(*rows: str, count: int = 30) -> bytes:
    made = [json.dumps({"label": label, "text": text}) for text, label in ROWS[:count]]
    return "\n".join([*made, *rows, ""]).encode()


def from_lines(prepared: Prepare, content: bytes, **spec: Any) -> Dataset:
    return prepared(content, name="rows.jsonl", scheme="jsonl", **spec)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard])
def test_json_lines_give_the_rows_of_the_same_csv(prepared: Prepare, pack: Callable[[bytes], bytes]) -> None:
    assert pairs(from_lines(prepared, pack(lines()))) == sorted(ROWS)


def test_the_texts_of_json_lines_are_kept_to_the_last_character(prepared: Prepare) -> None:
    odd = ["a\u2028b", "line\r\nbreak, and more", "\x00", '"quoted"', "NA"]
    content = lines(*(json.dumps({"text": f"{text}.", "label": "no"}, ensure_ascii=False) for text in odd))
    assert {f"{text}." for text in odd} <= {text for text, _ in pairs(from_lines(prepared, content))}


def test_numbers_of_json_lines_are_labels_as_they_are_written(prepared: Prepare) -> None:
    rows = [json.dumps({"text": f"text {i}", "label": i % 3}) for i in range(30)]
    assert from_lines(prepared, "\n".join(rows).encode()).labels == ("0", "1", "2")
    assert from_lines(prepared, "\n".join(rows).encode(), labels=["a", "b", "c"]).labels == ("a", "b", "c")
    numbers = from_lines(prepared, "\n".join(rows).encode(), kind="number", metrics=["pearson"])
    assert set(numbers.split("train")["label"]) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"text": "x"}', "row 31: column 'label' is empty"),
        ('{"text": null, "label": "no"}', "row 31: column 'text' is empty"),
        ('\n{"text": NaN, "label": "no"}', "row 31: column 'text' is empty"),
        ('{"text": ["x"], "label": "no"}', "row 31: column 'text' holds no text (list)"),
        ('\n\n{"text": "x", "label"', "line 33: not valid JSON"),
        ('["text", "label"]', "line 31: holds list, not an object; write one object in each line"),
        ("[", "line 31: not valid JSON"),
        ('{"text": "x", "label": "no", "text": "y"}', "line 31: the key 'text' comes twice"),
        ('{"text": "\\ud800", "label": "no"}', "line 31: holds half a surrogate pair"),
        ("[" * 100_000, "line 31: brackets within brackets"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(prepared: Prepare, row: str, said: str) -> None:
    assert f"rows.jsonl{' (train)' if said.startswith('row ') else ''}: {said}" in refused(
        lambda: from_lines(prepared, lines(row))
    )


def test_json_lines_of_another_encoding_are_read_or_refused(prepared: Prepare) -> None:
    content = json.dumps({"text": "été", "label": "no"}, ensure_ascii=False).encode("cp1252")
    assert "line 31: the byte 0xe9 is not UTF-8; save it" in refused(lambda: from_lines(prepared, lines() + content))
    read = pairs(from_lines(prepared, lines() + content, encoding="cp1252"))
    assert ("été", "no") in read
    utf16 = (lines() + json.dumps({"text": "été", "label": "no"}).encode()).decode().encode("utf-16")
    assert pairs(from_lines(prepared, utf16)) == read


def test_json_lines_without_a_row_are_refused(prepared: Prepare) -> None:
    assert "no rows" in refused(lambda: from_lines(prepared, b"\n\n"))


# Columns --------------------------------------------------------------------------------------------------------------


def test_two_columns_of_one_name_are_refused_in_every_format(prepared: Prepare, tmp_path: Path) -> None:
    content = "text,label,text\n" + "".join(f"one {i},{'ab'[i % 2]},two {i}\n" for i in range(20))
    assert "rows.csv: two columns have the name 'text'; rename or remove one" in refused(
        lambda: prepared(content.encode())
    )
    words, labels = [f"one {i}" for i in range(20)], list("ab" * 10)
    table = pa.Table.from_arrays([pa.array(words), pa.array(labels), pa.array(words)], names=["text", "label", "text"])
    pq.write_table(table, tmp_path / "twice.parquet")
    content = (tmp_path / "twice.parquet").read_bytes()
    said = refused(lambda: prepared(content, name="rows.parquet", scheme="parquet"))
    assert "rows.parquet: two columns have the name 'text'; rename or remove one" in said


def test_columns_without_a_name_are_no_matter(prepared: Prepare) -> None:
    content = "text;label;;\n" + "".join(f"{text};{label};;\n" for text, label in ROWS)
    assert pairs(prepared(content.encode())) == sorted(ROWS)


def test_a_saved_index_with_a_name_is_a_column(prepared: Prepare, tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label"]).set_index("text")
    frame.to_parquet(tmp_path / "saved.parquet")
    content = (tmp_path / "saved.parquet").read_bytes()
    assert pairs(prepared(content, name="rows.parquet", scheme="parquet")) == sorted(ROWS)


# Rows -----------------------------------------------------------------------------------------------------------------


def in_parts(odd: str) -> bytes:
    """Twenty training rows, one blank line, then validation rows whose sixth is the odd one: row 26 of the file."""
    made = [f"text {i},{i % 2},{'train' if i < 20 else 'validation'}" for i in range(30)]
    made[25] = odd
    return "\n".join(["text,label,part", *made[:20], "", *made[20:], ""]).encode()


@pytest.mark.parametrize(
    ("odd", "spec", "said"),
    [
        (",1,validation", {}, "row 26: column 'text' is empty (1 row(s))"),
        ("text,,validation", {}, "row 26: column 'label' is empty (1 row(s))"),
        ("text,7,validation", {}, "row 26: label '7' is outside the set (0, 1)"),
        ("text,x,validation", {"kind": "number", "metrics": ["pearson"]}, "row 26: label 'x' in 'label' is not"),
        ("text,1,", {}, "row 26: column 'part' is empty (1 row(s)); fill or remove"),
        ("text,1, ", {}, "row 26: column 'part' is empty"),
        ("text,1,valid", {}, "row 26: column 'part' holds 'valid'; allowed are dev, train, validation"),
    ],
)
def test_a_row_is_named_by_its_place_in_the_file(prepared: Prepare, odd: str, spec: dict[str, Any], said: str) -> None:
    message = refused(lambda: prepared(in_parts(odd), split_column="part", **spec))
    assert said in message
    assert "nan" not in message


@pytest.mark.parametrize("missing", [None, float("nan"), ""])
def test_an_empty_split_in_parquet_is_empty(prepared: Prepare, missing: object) -> None:
    parts = ["train"] * 20 + [missing] + ["validation"] * 9
    frame = pd.DataFrame(ROWS, columns=["text", "label"]).assign(part=parts)
    frame.to_parquet(held := io.BytesIO())
    said = refused(lambda: prepared(held.getvalue(), name="rows.parquet", scheme="parquet", split_column="part"))
    assert "row 21: column 'part' is empty" in said


# Names of rows --------------------------------------------------------------------------------------------------------


def with_names(scheme: str, names: Sequence[object]) -> bytes:
    frame = pd.DataFrame(ROWS, columns=["text", "label"]).assign(review=names)
    if scheme == "jsonl":
        return "\n".join(json.dumps(row) for row in frame.to_dict("records")).encode()
    if scheme == "csv":
        return frame.to_csv(index=False).encode()
    frame.to_parquet(held := io.BytesIO())
    return held.getvalue()


@pytest.mark.parametrize("scheme", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("names", [[f"r-{i:03}" for i in range(30)], list(range(100, 130)), ["same"] * 30])
def test_splits_keep_the_users_names_of_rows(prepared: Prepare, scheme: str, names: list[object]) -> None:
    dataset = prepared(with_names(scheme, names), scheme=scheme, id="review")
    frame = pd.concat([dataset.split(name) for name in dataset.splits])
    own = dict(zip(frame["text_a"], frame["id"], strict=True))
    assert own == {text: str(name) for (text, _), name in zip(ROWS, names, strict=True)}
    assert all(dataset.ids(name)["id"].tolist() == dataset.split(name)["id"].tolist() for name in dataset.splits)


@pytest.mark.parametrize("scheme", ["csv", "jsonl", "parquet"])
def test_a_row_without_its_name_is_refused(prepared: Prepare, scheme: str) -> None:
    names = [f"r-{i}" for i in range(28)]
    said = refused(lambda: prepared(with_names(scheme, [*names, None, "last"]), scheme=scheme, id="review"))
    assert "row 29: column 'review' is empty (1 row(s))" in said
    assert "no column 'reviw'; did you mean 'review'?" in refused(
        lambda: prepared(with_names(scheme, [*names, "a", "b"]), scheme=scheme, id="reviw")
    )


def test_splits_without_names_of_rows_are_as_they_were(prepared: Prepare) -> None:
    dataset = prepared(with_names("csv", range(30)))
    assert dataset.split("train").columns.tolist() == ["text_a", "label", "example_id"]
    assert dataset.ids("train") == {}


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"text": ["text", "text"]}, "text names the column 'text' twice"),
        ({"kind": "number"}, "no 'accuracy'; kind: label has it, and number has pearson, spearman"),
        ({"delimiter": ";;"}, "must be one character"),
        ({"delimiter": '"'}, "must be one character"),
        ({"encoding": "utf8x"}, "unknown encoding 'utf8x'"),
        ({"encoding": "rot13"}, "unknown encoding 'rot13'"),
        ({"source": "parquet:x.parquet", "delimiter": ";"}, "delimiter goes with a csv: source"),
        ({"source": "jsonl:x.jsonl", "delimiter": ";"}, "delimiter goes with a csv: source"),
        ({"source": "glue:sst2", "id": "idx"}, "id goes with a file of rows"),
        ({"source": "glue:sst2", "encoding": "cp1252"}, "encoding goes with a csv: or jsonl: source"),
    ],
)
def test_a_setting_of_reading_that_cannot_be_is_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TaskSpec(**{"source": "csv:rows.csv", "text": ["text"], **spec})


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("https://example.org/data/rows.csv", "csv:rows.csv"),
        ("csv:https://example.org/data/rows?raw=true", "csv:rows"),
        ("jsonl:s3://bucket/rows.jsonl.gz", "jsonl:rows.jsonl.gz"),
        ("hf://datasets/some/name/train.parquet", "parquet:train.parquet"),
        ("HTTP://EXAMPLE.ORG/ROWS.NDJSON.ZST", "jsonl:ROWS.NDJSON.ZST"),
    ],
)
def test_an_address_is_refused_with_what_to_do(source: str, wanted: str) -> None:
    remedy = rf"addresses are not read.*download the file and write its path, as {wanted}$"
    for spec in ({"source": source}, {"source": "csv:rows.csv", "validation_source": source}):
        with pytest.raises(ValidationError) as caught:
            TaskSpec(**{"text": ["text"], **spec})
        assert re.search(remedy, caught.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("rows.csv", "csv:rows.csv"),
        ("a/rows.tsv.gz", "csv:a/rows.tsv.gz"),
        ("rows.jsonl", "jsonl:rows.jsonl"),
        ("/data/part-0.parquet", "parquet:/data/part-0.parquet"),
        ("tsv:rows.tsv", "csv:rows.tsv"),
        ("TSV:rows", "csv:rows"),
        ("json:rows.json", "jsonl:rows.json"),
        ("ndjson:rows", "jsonl:rows"),
    ],
)
def test_a_path_without_its_scheme_is_refused_with_it(source: str, wanted: str) -> None:
    with pytest.raises(ValidationError, match=f"; write {wanted}"):
        TaskSpec(source=source, text=["text"])


@pytest.mark.parametrize("source", ["xlsx:rows.xlsx", "csv:", "c:", "tsv:"])
def test_a_scheme_of_no_reader_is_refused_without_a_guess(source: str) -> None:
    with pytest.raises(ValidationError, match="must be one of glue:") as caught:
        TaskSpec(source=source, text=["text"])
    assert "; write" not in str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    spec = TaskSpec(source=f"csv:{tmp_path}", text=["text"])
    said = refused(lambda: prepare(task="own", spec=spec, data=Data(), out=tmp_path / "out"))
    assert f"{tmp_path}: is a folder; name one file in it" in said
