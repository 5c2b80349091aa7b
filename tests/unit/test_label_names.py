"""Labels of files: names for numbers, and columns that are hardly meant as labels."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from tests.unit.made import prepare
from tests.unit.refusals import refused

from distilgrid.core.messages import validated
from distilgrid.core.project import parse_yaml
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

Prepare = Callable[..., Dataset]
FORMATS = ("csv", "jsonl", "parquet")


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """Prepares rows with the given labels, in a format."""

    def run(cells: Sequence[object], *, scheme: str = "csv", **spec: Any) -> Dataset:
        frame = pd.DataFrame({"text": [f"text {i}" for i in range(len(cells))], "label": cells})
        path = tmp_path / "rows"
        if scheme == "jsonl":
            rows = zip(frame["text"], cells, strict=True)
            path.write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
        elif scheme == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        fields = {"source": f"{scheme}:{path}", "text": ["text"], **spec}
        out = Path(tempfile.mkdtemp(dir=tmp_path)) / "out"  # rows of other recipes are no place for these
        prepare(task="own", spec=TaskSpec(**fields), data=Data(), out=out)
        return open_dataset(out)

    return run


def named(dataset: Dataset) -> list[str]:
    """The labels of the rows in the order of the file, as names."""
    frame = pd.concat([dataset.split(name) for name in dataset.splits])
    rows = {int(text.split()[1]): label for text, label in zip(frame["text_a"], frame["label"], strict=True)}
    return [dataset.labels[rows[row]] for row in range(len(rows))]


# Names for numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", FORMATS)
@pytest.mark.parametrize("given", [["negative", "positive"], ["0", "1"], [0, 1], ["no", "yes"]])
@pytest.mark.parametrize("form", [int, float])
def test_numbers_have_the_names_that_the_task_lists(
    prepared: Prepare, scheme: str, given: list[Any], form: Callable[[int], object]
) -> None:
    dataset = prepared([form(i % 2) for i in range(30)], scheme=scheme, labels=given)
    assert dataset.labels == tuple(map(str, given))
    assert named(dataset) == [str(given[i % 2]) for i in range(30)]


@pytest.mark.parametrize("scheme", FORMATS)
def test_listed_numbers_name_themselves_in_any_order(prepared: Prepare, scheme: str) -> None:
    assert named(prepared([i % 2 for i in range(30)], scheme=scheme, labels=[1, 0])) == list("01" * 15)


@pytest.mark.parametrize("scheme", FORMATS)
def test_numbers_beyond_the_names_are_refused(prepared: Prepare, scheme: str) -> None:
    labels = [1 + i % 2 for i in range(30)]
    said = refused(lambda: prepared(labels, scheme=scheme, labels=["bad", "good"]))
    assert "row 2: label '2' is outside the set (bad, good)" in said


def test_a_number_among_words_is_no_index(prepared: Prepare) -> None:
    labels = ["bad", "good", *["bad", "good"] * 10, "1"]
    assert "row 23: label '1' is outside the set" in refused(lambda: prepared(labels, labels=["bad", "good"]))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "labels: [true, false]",
            'labels: write names in quotes, such as "true" or "1.5": YAML reads this one as True',
        ),
        ("labels: [0.5, 1.5]", "tasks.own: labels: write names in quotes"),
        ("labels: [2020-01-01, x]", "tasks.own: labels: write names in quotes"),
        ("labels: [null, x]", "tasks.own: labels: write names in quotes"),
        ("label: false", "tasks.own: label: must be a text; write it in quotes"),
        ("label: 7", "tasks.own: label: must be a text; write it in quotes"),
        ("text: [true]", "tasks.own: text.0: must be a text; write it in quotes"),
    ],
)
def test_a_name_that_yaml_reads_otherwise_is_refused_with_what_to_write(written: str, said: str) -> None:
    values = {"source": "csv:rows.csv", "text": ["text"]} | parse_yaml(written, origin="tasks.own")
    assert said in refused(lambda: validated(TaskSpec, values, origin="tasks.own"))


@pytest.mark.parametrize("empty", ["", " ", "\u00a0"])
def test_a_name_that_is_empty_is_refused(empty: str) -> None:
    with pytest.raises(ValidationError, match="labels must not be empty"):
        TaskSpec(source="csv:rows.csv", text=["text"], labels=["a", "b", empty])


def test_yes_and_no_are_names() -> None:
    values = {"source": "csv:rows.csv", "text": ["text"]} | parse_yaml("labels: [no, yes]", origin="tasks.own")
    assert validated(TaskSpec, values, origin="tasks.own").labels == ["no", "yes"]


# Labels that are hardly meant -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", FORMATS)
@pytest.mark.parametrize(
    ("odd", "like"),
    [
        ("pos ", "pos"),
        (" pos", "pos"),
        ("Pos", "pos"),
        ("p\u200bos", "pos"),
        ("\uff50os", "pos"),
        ("very  bad", "very bad"),
    ],
)
def test_labels_that_look_alike_are_named_and_refused(prepared: Prepare, scheme: str, odd: str, like: str) -> None:
    labels = [*["very bad", "pos", "neg"] * 10, odd]
    said = refused(lambda: prepared(labels, scheme=scheme))
    assert f"row 31: label '{odd}' (1 row(s)) looks like '{like}' (10 row(s))" in said
    assert "list all labels under the task's labels to keep them" in said
    listed = ["very bad", "pos", "neg"]
    assert f"; it looks like '{like}'" in refused(lambda: prepared(labels, scheme=scheme, labels=listed))
    assert len(prepared([*labels, odd], scheme=scheme, labels=[*listed, odd]).labels) == 4


@pytest.mark.parametrize("odd", ["1.0", "01", "+1"])
def test_numbers_of_one_value_look_alike(prepared: Prepare, odd: str) -> None:
    assert f"row 31: label '{odd}' (1 row(s)) looks like '1'" in refused(lambda: prepared([*["0", "1"] * 15, odd]))


def test_large_numbers_are_compared_to_the_last_digit(prepared: Prepare) -> None:
    assert prepared([2**62 + i % 2 for i in range(30)]).labels == (str(2**62), str(2**62 + 1))


@pytest.mark.parametrize("odd", ["NaN", "nan", "None", "NULL", "N/A", "#N/A", " NA"])
def test_a_label_that_looks_missing_is_named_and_refused(prepared: Prepare, odd: str) -> None:
    labels = [*["pos", "neg"] * 15, odd, odd]
    assert f"row 31: label '{odd}' (2 row(s)) looks like a missing value" in refused(lambda: prepared(labels))
    assert prepared(labels, labels=["pos", "neg", odd]).labels == ("pos", "neg", odd)


@pytest.mark.parametrize("scheme", FORMATS)
@pytest.mark.parametrize("values", [[0.5, 3.25, 4.0], [0.0, 1.0], [1e30, 2e30]])
def test_numbers_with_decimals_are_no_labels_unless_listed(prepared: Prepare, scheme: str, values: list[float]) -> None:
    labels = [values[i % len(values)] for i in range(30)]
    said = refused(lambda: prepared(labels, scheme=scheme))
    assert "numbers with decimals, such as" in said
    assert "write kind: number for a regression, or list all labels" in said
    assert named(prepared(labels, scheme=scheme, labels=list(map(str, values)))) == [str(label) for label in labels]
    numbers = prepared(labels, scheme=scheme, kind="number", metrics=["pearson"])
    assert set(numbers.split("train")["label"]) <= set(values)


@pytest.mark.parametrize("scheme", FORMATS)
def test_labels_that_occur_once_are_hardly_labels(prepared: Prepare, scheme: str) -> None:
    once = refused(lambda: prepared([f"user-{i}" for i in range(300)], scheme=scheme))
    assert "column 'label': each label occurs once (300 rows): is this the label column?" in once
    most = refused(lambda: prepared([f"user-{min(i, 280)}" for i in range(300)], scheme=scheme))
    assert "280 of 300 rows hold a label that occurs once: is this the label column?" in most


def test_one_row_for_each_listed_label_is_only_too_few(prepared: Prepare) -> None:
    assert "too few to hold out" in refused(lambda: prepared(list("abcd"), labels=list("abcd")))


def test_what_models_read_is_no_label(prepared: Prepare) -> None:
    said = refused(lambda: prepared(["a", "b"] * 15, label="text", labels=["a", "b"]))
    assert "column 'text' is read by models and is their label; name another label" in said


@pytest.mark.parametrize("scheme", FORMATS)
@pytest.mark.parametrize("value", [3, 2.5])
def test_one_number_in_all_rows_is_no_regression(prepared: Prepare, scheme: str, value: float) -> None:
    spec = {"kind": "number", "metrics": ["pearson"]}
    said = refused(lambda: prepared([value] * 30, scheme=scheme, **spec))
    assert f"column 'label' holds one number only, {value}; a regression needs different ones" in said


@pytest.mark.parametrize("scheme", FORMATS)
def test_a_missing_label_among_numbers_is_named_as_missing(prepared: Prepare, scheme: str) -> None:
    assert "row 3: column 'label' is empty" in refused(lambda: prepared([0, 1, None, *[0, 1] * 10], scheme=scheme))


def test_dates_are_no_numbers(prepared: Prepare) -> None:
    spec = {"scheme": "parquet", "kind": "number", "metrics": ["pearson"]}
    for values in (pd.date_range("2026-01-01", periods=30), pd.timedelta_range("1s", periods=30)):
        said = refused(lambda values=values: prepared(list(values), **spec))  # type: ignore[misc]
        assert "column 'label' holds dates or times, no numbers" in said


@pytest.mark.parametrize("scheme", ["jsonl", "parquet"])
def test_truth_values_are_no_numbers(prepared: Prepare, scheme: str) -> None:
    spec = {"scheme": scheme, "kind": "number", "metrics": ["pearson"]}
    said = refused(lambda: prepared([False, True] * 15, **spec))
    assert "row 1: label 'False' in 'label' is a truth value; write 0 and 1, or kind: label" in said


def test_truth_values_and_others_are_no_labels_of_one_column(prepared: Prepare) -> None:
    said = refused(lambda: prepared([0, 1, True, *[0, 1] * 14], scheme="jsonl"))
    assert "row 3: label 'True' is a truth value, and others are not; make them one" in said
    assert prepared([False, True] * 15, scheme="jsonl").labels == ("False", "True")


def test_a_decimal_comma_is_named(prepared: Prepare) -> None:
    said = refused(lambda: prepared([f"{i},5" for i in range(30)], kind="number", metrics=["pearson"]))
    assert "row 1: label '0,5' in 'label' is not a number; write it as 3.5" in said
