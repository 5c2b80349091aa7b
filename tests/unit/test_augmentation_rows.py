"""Augmented rows: labels, ids, seeds, which texts of a pair are rewritten, and which rows are left out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError
from tests.unit.made import prepare

from distilgrid.augmentation.back_translation.declare import BackTranslation
from distilgrid.augmentation.base import RowContext, Surroundings
from distilgrid.augmentation.eda.declare import EDA
from distilgrid.augmentation.registry import AUGMENTATIONS, Augmentation
from distilgrid.augmentation.rows import Augmented, augmented_rows, rewritten_rows, samples
from distilgrid.augmentation.word_replacement.declare import WordReplacement
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.tasks.dataset import example_ids, open_dataset
from distilgrid.tasks.likeness import row_texts
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

LONG = "the committee will meet again on friday to talk about the new budget"
FIRST, SECOND = ["one", "two", "three", "four"], ["uno", "dos", "tres", "cuatro"]


class Stamp:
    """Adds its seed to a text, unless the text is in `stays`."""

    def __init__(self, *stays: str, repeats: bool = False) -> None:
        self.stays, self.repeats, self.calls = stays, repeats, 0

    def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        self.calls += 1
        pairs = zip(texts, seeds, strict=True)
        return [text if text in self.stays else f"{text} {'again' if self.repeats else seed}" for text, seed in pairs]


def train(*, pair: bool = False, labels: Sequence[float] = (0, 1, 1, 2)) -> pd.DataFrame:
    columns = [FIRST, SECOND] if pair else [FIRST]
    values = dict(zip(("text_a", "text_b"), columns, strict=False))
    return pd.DataFrame({**values, "label": np.array(labels), "example_id": np.array(example_ids(columns))})


def augmented(frame: pd.DataFrame, augmenter: Stamp | None = None, **settings: Any) -> Augmented:
    return augmented_rows(frame, augmenter or Stamp(), EDA(**settings))


def seed(row: pd.Series, field: str, *, base: int = 0) -> int:
    return derive_seed(base, f"augment/{row['parents'][0]}/{field}/{row['copy']}")


# Rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [(0, 1, 1, 2), (0.5, 1.25, -2.0, 5.0)])
def test_labels_and_origins_are_those_of_the_original_rows(labels: tuple[float, ...]) -> None:
    frame = train(labels=labels)
    found = augmented(frame, copies=3).frame
    assert list(found.columns) == ["text_a", "label", "example_id", "parents", "copy"]
    assert found["copy"].tolist() == [0, 1, 2] * 4
    assert found["parents"].tolist() == [[origin] for origin in frame["example_id"].repeat(3)]
    assert found["label"].tolist() == frame["label"].repeat(3).tolist()
    assert found["example_id"].tolist() == example_ids([found["text_a"].tolist()])
    kept = ["label", "example_id"]
    assert found[kept].dtypes.equals(frame[kept].dtypes)


def test_each_text_has_a_seed_of_its_own() -> None:
    found = augmented(train(pair=True), copies=2, seed=5).frame
    for _, row in found.iterrows():
        origin = train(pair=True).set_index("example_id").loc[row["parents"][0]]
        assert row["text_a"] == f"{origin['text_a']} {seed(row, 'text_a', base=5)}"
        assert row["text_b"] == f"{origin['text_b']} {seed(row, 'text_b', base=5)}"


def test_a_row_does_not_depend_on_the_others() -> None:
    frame = train(pair=True)
    whole = augmented(frame, copies=2).frame
    part = augmented(frame.iloc[[3, 1]], copies=2).frame
    origins = whole["parents"].map(lambda parents: parents[0])
    expected = pd.concat([whole[origins == frame["example_id"][row]] for row in (3, 1)])
    pd.testing.assert_frame_equal(part, expected.reset_index(drop=True))


def test_all_texts_are_rewritten_in_one_call() -> None:
    stamp = Stamp()
    augmented(train(pair=True), stamp, copies=3)
    assert stamp.calls == 1


@pytest.mark.parametrize(("fields", "changed"), [("both", "ab"), ("first", "a"), ("second", "b")])
def test_fields_choose_the_texts_of_a_pair(fields: str, changed: str) -> None:
    found, frame = augmented(train(pair=True), fields=fields).frame, train(pair=True)
    for letter in "ab":
        differs = found[f"text_{letter}"] != frame[f"text_{letter}"]
        assert differs.tolist() == [letter in changed] * 4


def test_random_fields_change_either_text() -> None:
    found = augmented(train(pair=True), fields="random", copies=50).frame
    first, second = ~found["text_a"].isin(FIRST), ~found["text_b"].isin(SECOND)
    assert (first ^ second).all()
    assert 70 < first.sum() < 130
    pd.testing.assert_frame_equal(found, augmented(train(pair=True), fields="random", copies=50).frame)


@pytest.mark.parametrize("fields", ["first", "second", "random"])
def test_single_texts_are_always_rewritten(fields: str) -> None:
    pd.testing.assert_frame_equal(augmented(train(), fields=fields).frame, augmented(train()).frame)


def test_unchanged_rows_are_left_out_and_counted() -> None:
    found = augmented(train(), Stamp("two", "four"), copies=2)
    assert found.unchanged == 4 and found.repeated == 0
    assert found.frame["label"].tolist() == [0, 0, 1, 1]


def test_a_row_that_became_another_original_is_left_out() -> None:
    frame = train()
    frame.loc[2, "text_a"] = augmented(frame).frame["text_a"][0]
    frame["example_id"] = example_ids([frame["text_a"].tolist()])
    found = augmented(frame)
    assert found.unchanged == 1
    assert found.frame["label"].tolist() == [1, 1, 2]


def test_repeated_copies_are_left_out_and_counted() -> None:
    found = augmented(train(), Stamp("three", repeats=True), copies=3)
    assert (found.unchanged, found.repeated) == (3, 6)
    assert found.frame["text_a"].tolist() == ["one again", "two again", "four again"]
    assert found.frame["copy"].tolist() == [0, 0, 0]


def test_rows_that_are_like_a_scored_row_are_left_out_and_counted() -> None:
    """Equal but for case, space, punctuation and the order of a pair, or nearly equal: each is counted as such."""

    class Towards(Stamp):
        def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
            known = {"one": "  A Man, plays!", "uno": "BOB", "two": f"{LONG} now", "dos": "end"}
            return [known.get(text, f"{text} again") for text in texts]

    scored = row_texts(pd.DataFrame({"text_a": ["bob", LONG], "text_b": ["a man plays", "end"]}))
    frame = train(pair=True)
    found = augmented_rows(frame, Towards(), EDA(), scored=scored)
    assert (found.unchanged, found.repeated, found.scored, found.near) == (0, 0, 1, 1)
    assert found.frame["parents"].tolist() == [[origin] for origin in frame["example_id"].tolist()[2:]]


@pytest.mark.parametrize("split", ["dev", "seen", "unseen"])
def test_rows_are_compared_with_dev_and_with_every_validation_split(
    split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"train": FIRST, **{name: [f"{name} {n}" for n in range(4)] for name in ("dev", "seen", "unseen")}}
    rows = [(name, text, "ab"[n % 2]) for name, texts in parts.items() for n, text in enumerate(texts)]
    pd.DataFrame(rows, columns=["part", "text", "label"]).to_csv(tmp_path / "rows.csv", index=False)
    source: dict[str, Any] = {"source": f"csv:{tmp_path / 'rows.csv'}", "text": ["text"], "label": "label"}
    spec = TaskSpec(**source, split_column="part", validation=["seen", "unseen"])
    prepare(task="own", spec=spec, data=Data(), out=tmp_path / "data")
    dataset = open_dataset(tmp_path / "data")
    writer = Stamp()
    monkeypatch.setattr(writer, "rewrite", lambda texts, seeds: [f"{split.upper()} {n}." for n in range(4)])
    monkeypatch.setattr("distilgrid.augmentation.rows.build_augmenter", lambda *_: writer)
    found = rewritten_rows(EDA(), RowContext(dataset, dataset.split("train"), Surroundings()))
    assert len(found.frame) == 0 and found.scored == 4


def test_rows_that_are_alike_keep_their_own_labels() -> None:
    frame = pd.concat([train(), train(labels=(7, 7, 7, 7))])
    found = augmented(frame, copies=2)
    assert found.repeated == 0
    assert found.frame["label"].tolist() == [0, 0, 1, 1, 1, 1, 2, 2, *[7] * 8]


def test_nothing_left_still_has_the_columns() -> None:
    found = augmented(train(pair=True), Stamp(*FIRST, *SECOND)).frame
    assert len(found) == 0
    assert list(found.columns) == ["text_a", "text_b", "label", "example_id", "parents", "copy"]
    assert samples(train(pair=True), found) == []


@pytest.mark.parametrize("column", ["text_a", "label", "example_id"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(UserError, match=f"no column '{column}'"):
        augmented(train().drop(columns=column))


# Samples --------------------------------------------------------------------------------------------------------------


def test_samples_show_texts_before_and_after() -> None:
    frame = train(pair=True)
    found = augmented(frame, copies=5).frame
    shown = samples(frame, found, count=6, seed=1)
    assert json.loads(json.dumps(shown)) == shown
    assert len({(row["parents"][0], row["copy"]) for row in shown}) == 6
    for row in shown:
        place = frame["example_id"].tolist().index(row["parents"][0])
        assert row["before"] == [[FIRST[place], SECOND[place]]] and row["label"] == frame["label"][place]
        assert [new.split()[0] for new in row["after"]] == row["before"][0] and row["after"] != row["before"][0]
    assert samples(frame, found, count=6, seed=1) == shown != samples(frame, found, count=6, seed=2)
    assert len(samples(frame, found, count=99)) == 20


# Settings -------------------------------------------------------------------------------------------------------------

MODELS = {"forward": "path:a", "backward": "path:b"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [({"kind": "eda"}, EDA), ({"kind": "word-replacement"}, WordReplacement), (MODELS, BackTranslation)],
)
def test_the_kind_chooses_the_settings(values: dict[str, Any], kind: type) -> None:
    parsed: Any = TypeAdapter(Augmentation).validate_python({"kind": "back-translation"} | values)
    assert type(parsed) is kind and parsed.kind in AUGMENTATIONS


def test_the_schema_describes_every_setting() -> None:
    schema = TypeAdapter(Augmentation).json_schema()
    for definition in schema["$defs"].values():
        assert all(value.get("description") for value in definition["properties"].values())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({**MODELS, "decoding": "beam", "copies": 2}, "copies is 2, but beam search translates a text one way"),
        ({**MODELS, "pivot": "German"}, "pivot"),
        ({**MODELS, "probability": 0.4}, "probability"),
        ({"forward": "path:a"}, "backward"),
        ({**MODELS, "copies": 0}, "copies"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BackTranslation(**values)
