"""Data files of any kind are prepared to the last row, label and character, or are refused in one clear line."""

import json
import logging
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.command_line import Run, one_line
from tests.unit.fuzzed import cases, refusal
from tests.unit.fuzzed_csv import csv_files
from tests.unit.fuzzed_files import STRAY, Row, Written
from tests.unit.fuzzed_jsonl import jsonl_files
from tests.unit.fuzzed_parquet import parquet_files

from distilgrid.stages.prepare.declare import PrepareSettings
from distilgrid.stages.prepare.run import prepare
from distilgrid.tasks.settings import Data
from distilgrid.tasks.sources import Folders
from distilgrid.tasks.spec import TaskSpec

DEFAULTS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # of pandas about its own calls
Plain = tuple[tuple[str, ...], str | float, str | None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


SORTS = {"csv": csv_files(), "jsonl": jsonl_files(), "parquet": parquet_files()}


@pytest.mark.parametrize("sort", SORTS)
@cases(50)
@given(data=st.data())
def test_a_file_is_prepared_whole_or_refused(sort: str, data: st.DataObject, place: Path) -> None:
    examine(data.draw(SORTS[sort]), place)


@pytest.mark.slow
@pytest.mark.parametrize("sort", SORTS)
@cases(500)
@given(data=st.data())
def test_each_of_many_files_is_prepared_whole_or_refused(sort: str, data: st.DataObject, place: Path) -> None:
    examine(data.draw(SORTS[sort]), place)


@cases(12)
@given(written=st.one_of(*SORTS.values()))
def test_the_command_line_prepares_a_file_whole_or_refuses_it(written: Written, place: Path, run: Run) -> None:
    through_the_command_line(written, place, run)


@pytest.mark.slow
@cases(50)
@given(written=st.one_of(*SORTS.values()))
def test_the_command_line_prepares_many_files_or_refuses_them(written: Written, place: Path, run: Run) -> None:
    through_the_command_line(written, place, run)


def examine(written: Written, place: Path) -> None:
    """Prepare a file, at times twice, and compare the rows with those that were written."""
    spec = TaskSpec(**written.saved(place))
    warnings = Heard()
    with warnings:
        said = refusal(lambda: prepared(spec, written.data, place / "first"))
    judge(written, spec, place / "first", said=said, warnings=warnings.lines)
    if crc32(written.content) % 4 == 0:
        assert refusal(lambda: prepared(spec, written.data, place / "second")) == said
        assert said is not None or contents(place / "first") == contents(place / "second")


def through_the_command_line(written: Written, place: Path, run: Run) -> None:
    named_columns = written.saved(place)
    values = DEFAULTS | {
        "tasks": {"own": named_columns},
        "data": written.data,
        "grid": DEFAULTS["grid"] | {"tasks": ["own"]},
    }
    (place / "params.yaml").write_text(yaml.safe_dump(values))
    shutil.rmtree(place / "data", ignore_errors=True)
    words = ["prepare", "--params", place / "params.yaml", "--task", "own", "--out", place / "data"]
    code, output, errors = run(*words)
    assert "Traceback" not in errors
    said = None if code == 0 else one_line((code, output, errors.splitlines(keepends=True)[-1]))
    judge(written, TaskSpec(**named_columns), place / "data", said=said, warnings=errors.splitlines())


def judge(written: Written, spec: TaskSpec, folder: Path, *, said: str | None, warnings: list[str]) -> None:
    """Whether a file was rightly taken or refused, and taken to the last row."""
    if said is not None:
        assert written.verdict != "taken", said
        assert any(f"{name}{file.suffix}" in said for name, file in named(written)), said
        assert written.bad_row is None or f"row {written.bad_row}:" in said, (written.bad_row, said)
        return
    if STRAY in written.why and rows_read(folder) < sum(len(file.rows) for _, file in named(written)):
        assert any(STRAY in line for line in warnings), f"rows are merged without a word: {warnings}"
        return
    assert written.verdict != "refused", f"taken in spite of {written.why}"
    if written.verdict != "unknown":
        check_rows(written, spec, folder)


def rows_read(folder: Path) -> int:
    """The rows that the files gave, of which some may be left out."""
    return sum(about.get("given", 0) for about in json.loads((folder / "dataset.json").read_text())["found"].values())


class Heard(logging.Handler):
    """Listens to what the package warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> None:
        logging.getLogger("distilgrid").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("distilgrid").removeHandler(self)


def named(written: Written) -> list[tuple[str, Written]]:
    return [("source", written), *([("validation_source", written.more)] if written.more else [])]


def prepared(spec: TaskSpec, data: dict[str, Any], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    job: Any = SimpleNamespace(folder=folder)
    prepare(PrepareSettings("own", spec, Data(**data), Folders()), job)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_rows(written: Written, spec: TaskSpec, folder: Path) -> None:
    """Compare the rows of each split, and the set of labels, with what was written."""
    facts = json.loads((folder / "dataset.json").read_text())
    found = {name: rows_of(folder / f"{name}.parquet", facts["labels"], written.same) for name in facts["splits"]}
    number = spec.kind == "number"
    given_rows: dict[str, list[Plain]] = {}
    for row in written.rows:
        given_rows.setdefault(row.split or "train", []).append(plain(row, spec))
    if written.more is not None:
        given_rows["validation"] = [plain(row, spec) for row in written.more.rows]
    pools = {name: {name} for name in given_rows}
    pools["train"] |= {"train", "dev", "validation"} - pools.keys()
    gone = Counter(facts["alike"]["left_out"])
    gone.update({name: about.get("capped", 0) for name, about in facts["found"].items()})
    scored = {seen(row[0]) for row in found["validation"]}
    for name, parts in pools.items():
        assert facts["found"][name]["given"] == len(given_rows[name])
        missing = Counter(given_rows[name])
        for row in (row for part in parts for row in found[part]):
            assert missing[row], f"{parts} hold a row that {name} does not: {row!r:.500}"
            missing[row] -= 1
        said = sum(gone[part] for part in parts)
        assert missing.total() == said, f"{missing.total()} rows of {name} are gone, {said} are said: {+missing!r:.500}"
        if not written.data:
            assert all(seen(row[0]) in scored for row in +missing), "a row was left out that no validation row is like"
    if not number:
        assert sorted(written.same.get(label, label) for label in facts["labels"]) == sorted(
            {str(row[1]) for rows in given_rows.values() for row in rows}
        )


def plain(row: Row, spec: TaskSpec) -> Plain:
    assert None not in row.texts and row.label is not None
    label = float(row.label) if spec.kind == "number" else row.label
    return tuple(map(str, row.texts)), label, row.id if spec.id else None


def rows_of(path: Path, labels: list[str], same: dict[str, str]) -> list[Plain]:
    """Texts, label and name of each row of a prepared split."""
    table = pq.read_table(path).to_pydict()
    texts: Iterable[tuple[str, ...]] = zip(
        *(table[name] for name in ("text_a", "text_b") if name in table), strict=True
    )
    names = table.get("id") or [None] * len(table["label"])
    return [
        (
            tuple(same.get(text, text) for text in row),
            same.get(labels[code], labels[code]) if labels else code,
            same.get(name, name),
        )
        for row, code, name in zip(texts, table["label"], names, strict=True)
    ]


def seen(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Texts without case, punctuation and space, in any order."""
    plain = (unicodedata.normalize("NFKC", text).casefold() for text in texts)
    kept = (
        "".join(x for x in text if not unicodedata.category(x).startswith("P") and not x.isspace()) for text in plain
    )
    return tuple(sorted(short or text for short, text in zip(kept, texts, strict=True)))
