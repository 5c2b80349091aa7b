"""Facts about prepared rows: printed by `prepare`, stored in `dataset.json`, shown by reports, cards and READMEs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.unit.fabricate import fabricate_results
from tests.unit.made import prepare

from distilgrid.core.artefacts import read_json
from distilgrid.deployment import choice
from distilgrid.deployment.choice import Limits
from distilgrid.deployment.measured import Where
from distilgrid.reporting import facts as said
from distilgrid.reporting.claims.tables import claims_json
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.tables import data_table, main_table, other_table, paper_table, parity_table
from distilgrid.reporting.wording import DASH
from distilgrid.tasks.facts import cut_rows
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

ROWS = [(f"word{n} other{n * 3} thing{n * 7}", "ab"[n % 2]) for n in range(40)]


def made(folder: Path, rows: list[tuple[str, ...]], *, data: Data | None = None, **spec: Any) -> dict[str, Any]:
    """`dataset.json` of rows of text, label and, with three columns, split."""
    names = ["text", "label", "part"][: len(rows[0])]
    pd.DataFrame(rows, columns=names).to_csv(folder / "rows.csv", index=False)
    spec |= {"split_column": "part"} if "part" in names else {}
    given = TaskSpec(source=f"csv:{folder / 'rows.csv'}", text=["text"], **spec)
    prepare(task="own", spec=given, data=data or Data(), out=folder / "data")
    found: dict[str, Any] = read_json(folder / "data" / "dataset.json")
    return found


def parted(**splits: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    return [(*row, name) for name, rows in splits.items() for row in rows]


def test_the_rows_of_a_file_are_accounted_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = made(tmp_path, list(ROWS), data=Data(max_train_rows=20))
    assert found["found"]["train"] == {
        "given": 40,
        "held_out": 11,
        "capped": 9,
        "repeated": 0,
        "disputed": 0,
        "distinct_labels": 2,
        "longest": {"words": 3, "characters": 24},
        "longer": dict.fromkeys(("32", "64", "128", "256", "512", "1024"), 0),
    }
    told = "40 given; 11 moved to other splits; 9 over the cap; longest 3 words, 24 characters"
    assert f"train: 20 rows; a 10, b 10; {told}" in caplog.messages
    assert any(line.startswith("validation: 8 rows; a 4, b 4; longest 3 words") for line in caplog.messages)
    assert found["cautions"] == []
    for name, split in found["splits"].items():
        facts, left_out = found["found"][name], found["alike"]["left_out"].get(name, 0)
        if "given" in facts:
            assert facts["given"] - facts["held_out"] - facts["capped"] - left_out == split["rows"]


def test_repeated_disputed_and_long_rows_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = [("Thanks!", "a"), ("thanks", "a"), ("THANKS", "b"), ("very " * 200, "a"), ("very " * 90, "b")]
    with caplog.at_level("INFO"):
        found = made(tmp_path, parted(train=[*ROWS[:30], *odd], dev=ROWS[30:34], validation=ROWS[34:]))
    train = found["found"]["train"]
    assert (train["repeated"], train["disputed"]) == (2, 3)
    assert train["longest"] == {"words": 200, "characters": 1000}
    assert train["longer"] == {"32": 2, "64": 2, "128": 1, "256": 0, "512": 0, "1024": 0}
    assert [cut_rows(train, length) for length in (16, 64, 100, 128, 200, 512, 4096)] == [2, 2, 1, 1, 0, 0, 0]
    (line,) = [line for line in caplog.messages if line.startswith("train:") and "given" in line]
    assert "2 repeat an earlier one; 3 have equal rows with another label; longest 200 words" in line
    assert line.endswith("at least 1 cut at 128 tokens")
    assert "train: 3 of 35 rows have equal rows with another label" in found["cautions"]


def test_a_pair_counts_both_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label"]).assign(other="one two")
    frame.to_parquet(tmp_path / "rows.parquet")
    spec = TaskSpec(source=f"parquet:{tmp_path / 'rows.parquet'}", text=["text", "other"])
    prepare(task="own", spec=spec, data=Data(), out=tmp_path / "data")
    assert read_json(tmp_path / "data" / "dataset.json")["found"]["dev"]["longest"]["words"] == 5


@pytest.mark.parametrize("metrics", [["f1", "matthews"], ["accuracy"]])
def test_splits_without_a_label_are_said(tmp_path: Path, metrics: list[str], caplog: pytest.LogCaptureFixture) -> None:
    one = [(f"{text} more", "a") for text, _ in ROWS[30:]]
    found = made(tmp_path, parted(train=ROWS[:30], dev=one[:5], validation=one[5:]), metrics=metrics)
    wanted = [
        "dev: all rows have the same label 'a', so they select no weights, and the last ones are kept",
        "validation: all rows have the same label 'a', so its scores tell little",
    ]
    assert [caution for caution in found["cautions"] if "same label" in caution] == wanted
    assert set(wanted) <= set(caplog.messages)


def test_a_label_that_a_split_lacks_is_said(tmp_path: Path) -> None:
    rows = [(text, "abc"[n % 3]) for n, (text, _) in enumerate(ROWS)]
    without = [row for row in rows[26:] if row[1] != "c"]
    found = made(tmp_path, parted(train=rows[:20], dev=rows[20:26], validation=without), labels=["a", "b", "c", "d"])
    assert [caution for caution in found["cautions"] if "no row" in caution] == [
        "train: no row has the label 'd'",
        "dev: no row has the label 'd'",
        "validation: no row has the label 'c' and 1 more",
    ]


def test_numbers_that_are_all_equal_are_said(tmp_path: Path) -> None:
    rows = [(text, str(n)) for n, (text, _) in enumerate(ROWS)]
    dev = [(text, "2.0") for text, _ in rows[30:34]]
    spec: dict[str, Any] = {"kind": "number", "metrics": ["pearson"]}
    found = made(tmp_path, parted(train=rows[:30], dev=dev, validation=rows[34:]), **spec)
    (caution,) = [caution for caution in found["cautions"] if "label" in caution]
    assert caution == "dev: all rows have the same label, so they select no weights, and the last ones are kept"


def test_validation_rows_that_train_are_said(tmp_path: Path) -> None:
    rows = parted(train=ROWS[:30], dev=ROWS[30:34], validation=[*ROWS[:6], *ROWS[34:]])
    assert "train: 6 rows left out, as they are like validation rows" in made(tmp_path, rows)["cautions"]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return find(collect(*fabricate_results(tmp_path_factory.mktemp("facts"))))


CAUTIONS = ["validation: 48 of 80 rows near a row of train", "dev: no row has the label 'c'"]


def with_dataset(findings: Findings, **changed: Any) -> Findings:
    dataset = {**findings.collected.datasets["reviews"], **changed}
    datasets = {**findings.collected.datasets, "reviews": dataset}
    return replace(findings, collected=replace(findings.collected, datasets=datasets))


def test_every_table_of_scores_says_the_cautions(findings: Findings) -> None:
    cautious = with_dataset(findings, cautions=CAUTIONS)
    sentence = f"About the rows: {'; '.join(CAUTIONS)}."
    other = other_table(cautious, "reviews")
    for table in (main_table(cautious, "reviews"), paper_table(cautious, "reviews"), *([other] if other else [])):
        assert sentence in table.caption
    noted = f"rows of reviews: {'; '.join(CAUTIONS)}"
    assert parity_table(cautious).caption.endswith(f"{noted}.")
    assert {f"{name}: {note}" for name, note in claims_json(cautious, None)["notes"].items()} == {noted}
    assert "About the rows" not in main_table(with_dataset(findings, cautions=[]), "reviews").caption


def test_the_choice_says_the_cautions(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, limits = findings.collected.plan, Limits(latency_ms=1e6, loss=100.0)
    for known, wanted in ((CAUTIONS, True), ([], False)):
        collected = with_dataset(findings, cautions=known).collected
        monkeypatch.setattr(choice, "collect", lambda *_, found=collected: found)
        given: dict[str, Any] = {"plan": plan, "results": Path(), "task": "reviews", "limits": limits}
        decision, _ = choice.choose_model(**given, where=Where("local-cpu"))
        assert decision.winner is not None
        assert (decision.reasons[-1] == f"About the rows: {'; '.join(CAUTIONS)}") == wanted


def test_the_data_table_shows_the_facts(findings: Findings) -> None:
    facts = {"repeated": 1234, "disputed": 5, "longest": {"words": 310, "characters": 2000}, "longer": {"128": 12}}
    found = with_dataset(findings, cautions=CAUTIONS, found=dict.fromkeys(("train", "dev", "validation"), facts))
    table = data_table(found)
    titles = [column.title for column in table.columns]
    row = next(row for row in table.rows if (row[0].text, row[1].text) == ("reviews", "train"))
    shown = {title: value.text for title, value in zip(titles, row, strict=True)}
    assert (shown["repeated"], shown["longest"]) == ("1,234, 5 disputed", "310 words, 12 cut")
    assert shown["notes"].endswith("; ".join(CAUTIONS))
    assert "Repeated: rows that are equal" in table.caption and "Longest: cut are" in table.caption


def test_data_of_before_has_dashes(findings: Findings) -> None:
    old = {name: value for name, value in findings.collected.datasets["reviews"].items() if name != "found"}
    assert (said.repeated(old, "train"), said.longest(old, "train", 128)) == (DASH, DASH)
    old.pop("cautions", None)
    assert said.cautions(old) == said.caption([old]) == ""


def test_one_word_is_said_in_the_singular(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        made(tmp_path, [(f"w{n}", label) for n, (_, label) in enumerate(ROWS)])
    assert all(line.endswith("longest 1 word, 3 characters") for line in caplog.messages)
