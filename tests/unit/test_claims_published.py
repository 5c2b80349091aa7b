"""Published numbers: what their CSV file may hold, and complaints that name the file, the line and the column."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from distilgrid.core.errors import UserError
from distilgrid.plan.expand import expand
from distilgrid.plan.params import Params, load_params, parse_params
from distilgrid.reporting.claims.file import load_claims, read_published
from distilgrid.reporting.claims.schema import Published

ROOT = Path(__file__).parents[2]
PAPER = {"title": "A paper", "year": 2021, "url": "https://example.org"}
ROW = {
    "model": "BERT6-KD",
    "task": "sst2",
    "metric": "accuracy",
    "split": "test server",
    "value": "91.50",
    "certainty": "sourced",
    "source": "table 1",
    "method": "kd",
    "student": "bert-6",
    "teacher": "",
}


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params([ROOT / "params.yaml"])


def written(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "mine.expected.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def complaint(path: Path, params: Params | None = None) -> str:
    with pytest.raises(UserError) as caught:
        read_published(path, params=params)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_rows_are_read_in_order_and_empty_cells_are_null(tmp_path: Path, params: Params) -> None:
    unknown = {**ROW, "task": "rte", "value": "", "certainty": "unknown", "method": "teacher", "student": ""}
    first, second = read_published(written(tmp_path, ROW, unknown), params=params)
    assert first == Published.model_validate({**ROW, "value": 91.5, "teacher": None})
    assert (second.value, second.method, second.student, second.teacher) == (None, "teacher", None, None)


def test_columns_come_in_any_order_and_those_that_may_be_null_may_be_left_out(tmp_path: Path) -> None:
    needed = {"source", "certainty", "value", "split", "metric", "task", "model"}
    (row,) = read_published(written(tmp_path, {name: ROW[name] for name in sorted(needed)}))
    assert (row.model, row.value, row.method, row.our_split) == ("BERT6-KD", 91.5, None, None)
    for name in needed:
        path = written(tmp_path, {column: value for column, value in ROW.items() if column != name})
        assert complaint(path) == f"line 1: no column '{name}'; add it to the header and to each row"


def test_text_as_spreadsheets_save_it(tmp_path: Path) -> None:
    path = written(tmp_path, {**ROW, "source": 'table 1, "main"\nresults', "split": "Prüfung"})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    (row,) = read_published(path)
    assert (row.source, row.split) == ('table 1, "main"\r\nresults', "Prüfung")


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("value", "91,5", "value: Input should be a valid number"),
        ("value", "nan", "value: Input should be a finite number"),
        ("value", "", "value is empty when certainty is unknown, and only then"),
        ("certainty", "unknown", "value is empty when certainty is unknown, and only then"),
        ("certainty", "sure", "certainty: Input should be 'sourced', 'second-hand', 'recalled' or 'unknown' (found"),
        ("certainty", "", "certainty: empty; fill it in"),
        ("model", "", "model: empty; fill it in"),
        ("task", "", "task: empty; fill it in"),
        ("task", "sst3", "task: unknown task 'sst3'; did you mean 'sst2'?"),
        ("method", "techer", "method: unknown method 'techer'; did you mean 'teacher'?"),
        ("student", "bert 6", "student: "),
        ("teacher", "-", "teacher: "),
    ],
)
def test_a_bad_cell_gets_one_line_that_names_its_line_and_column(
    tmp_path: Path, params: Params, column: str, value: str, expected: str
) -> None:
    path = written(tmp_path, {**ROW, "source": "two\nlines"}, {**ROW, "task": "rte", column: value})
    assert complaint(path, params).startswith(f"line 4: {expected}")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_numbers_are_read_as_spreadsheets_write_them(tmp_path: Path, params: Params, separator: str) -> None:
    path = written(tmp_path, ROW, {**ROW, "task": "rte", "source": "a; b, c"})
    wanted = read_published(path, params=params)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    assert read_published(path, params=params) == wanted


def test_a_bad_header_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, {**ROW, "spilt": ""})
    assert complaint(path) == "line 1: unknown column 'spilt'; did you mean 'split'?"
    path.write_text("model,model\n")
    assert complaint(path) == "line 1: two columns 'model'; remove one"
    path.write_text("")
    assert complaint(path).startswith("line 1: no column 'model'")


def test_a_damaged_file_is_named_with_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, ROW)
    good = path.read_text()
    path.write_text(good + "BERT6-KD,sst2\n")
    assert complaint(path) == "line 3: 2 cells, but the header names 10; quote a cell with a comma"
    path.write_text(good + "\n")
    assert complaint(path).startswith("line 3: 0 cells")
    path.write_text(good + '"BERT6"-KD,sst2\n')
    assert complaint(path).startswith("line 3: not valid CSV (")
    path.write_bytes(good.encode() + b"\xff\n")
    assert complaint(path).startswith("not UTF-8 (")
    assert complaint(tmp_path / "none.csv").startswith("cannot be read (No such file or directory); `published`")


def test_a_number_is_given_once(tmp_path: Path) -> None:
    path = written(tmp_path, ROW, {**ROW, "split": "dev"}, {**ROW, "value": "91.6", "certainty": "recalled"})
    assert complaint(path) == "line 4: the same number as in line 2; remove one of them"


def test_methods_of_the_claims_file_may_have_numbers(tmp_path: Path, params: Params) -> None:
    written(tmp_path, {**ROW, "method": "assisted"})
    values: dict[str, Any] = {"paper": PAPER, "published": "mine.expected.csv"}
    path = tmp_path / "mine.claims.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"mine\.expected\.csv: line 2: method: unknown method 'assisted'"):
        load_claims(path, params=params)
    path.write_text(yaml.safe_dump({**values, "methods": {"assisted": "with an assistant"}}))
    assert [row.method for row in load_claims(path, params=params).published] == ["assisted"]


def test_a_changed_number_makes_another_report_and_nothing_else(tmp_path: Path, tiny_values: dict[str, Any]) -> None:
    path = tmp_path / "mine.claims.yaml"
    path.write_text(yaml.safe_dump({"paper": PAPER, "published": "mine.expected.csv"}))
    tiny_values["report"] = {"claims": str(path)}
    plans = []
    for value in ("91.5", "91.50", "91.6"):
        written(tmp_path, {**ROW, "value": value})
        plans.append(expand(parse_params(tiny_values, origin="test")))
    first, same, other = (set(plan.artefacts) for plan in plans)
    assert first == same
    assert first - other == {plans[0].report.folder}


def test_reading_claims_loads_neither_pandas_nor_torch() -> None:
    code = (
        "import sys; from distilgrid.reporting.claims.file import load_claims; load_claims(sys.argv[1]);"
        "print({'numpy', 'pandas', 'torch', 'transformers'} & set(sys.modules))"
    )
    path = ROOT / "grids" / "mixkd.claims.yaml"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
