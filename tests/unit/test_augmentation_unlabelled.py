"""Unlabelled texts: which rows they become, what labels them, what they may come from, and when they are made again."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.conftest import sentences
from tests.unit.made import augment, finetune, prepare
from tests.unit.tiny_augmentation import prepare_taught

from distilgrid.augmentation.eda.declare import EDA
from distilgrid.augmentation.unlabelled.declare import Pool, Unlabelled
from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.plan.expand import expand
from distilgrid.plan.names import text_pool
from distilgrid.plan.params import parse_params
from distilgrid.tasks.batching import encode
from distilgrid.tasks.dataset import open_augmented, open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.sources import Folders
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training
from distilgrid.training.training_set import TrainingSet

pytestmark = pytest.mark.chain

TRAINING = Training(epochs=1, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")
KEY = "augmentations.other.texts"
OTHER = [f"{text} indeed as {n} others said elsewhere" for n, (text, _) in enumerate(sentences(40, seed=9))]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Path:
    """Prepared data, a teacher, a file of new texts with two old ones among them, and another file."""
    folder = tmp_path_factory.mktemp("work")
    prepare_taught(folder, csv=reviews_csv, model=tiny_model, training=TRAINING)
    dataset = open_dataset(folder / "data")
    known = [dataset.split(name)["text_a"].iloc[0] for name in ("train", "dev", "validation")]
    repeated = [OTHER[0], f"{OTHER[1].upper()} !"]
    pd.DataFrame({"text": [*OTHER, *repeated, *known]}).to_csv(folder / "other.csv", index=False)
    pd.DataFrame({"text": ["from another file"]}).to_parquet(folder / "more.parquet")
    return folder


def pool(work: Path, *names: str, text: tuple[str, ...] = ("text",)) -> Pool:
    task = TaskSpec(source="csv:reviews.csv", text=list(text), label="sentiment")
    own = {"pairs": TaskSpec(source=f"csv:{work / 'other.csv'}", text=["text", "reply"])}
    return Pool(KEY, task, [name.format(work=work) for name in names], own, Folders())


def make(work: Path, out: Path, *names: str, **settings: Any) -> pd.DataFrame:
    names = names or ("csv:{work}/other.csv", "parquet:{work}/more.parquet")
    given: dict[str, Any] = {"teacher": work / "teacher", "max_length": 32, "fraction": 1.0}
    chosen = Unlabelled(texts=list(names), **settings)
    augment(data=work / "data", settings=chosen, pool=pool(work, *names), out=out, labels={}, **given)
    return pd.read_parquet(out / "train.parquet")


# Rows -----------------------------------------------------------------------------------------------------------------


def test_new_texts_come_once_and_those_of_the_data_set_not_at_all(work: Path, tmp_path: Path) -> None:
    rows = make(work, tmp_path / "rows")
    assert rows["text_a"].tolist() == [*dict.fromkeys(OTHER), "from another file"]
    assert (rows["parents"].map(len) == 0).all()
    shown = read_json(tmp_path / "rows" / "samples.json")
    assert (shown["rows"], shown["unchanged"], shown["near"]) == (len(rows), 3, 0)
    assert shown["repeated"] == len(OTHER) + 2 - len(set(OTHER))
    assert all(row["before"] == [] and row["parents"] == [] for row in shown["samples"])
    assert json.dumps(shown)


def test_rows_that_are_like_rows_of_any_split_are_left_out(
    work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = open_dataset(work / "data")
    known = [dataset.split(name)["text_a"].iloc[1] for name in ("train", "dev", "validation")]
    equal = [f"  {text.upper().replace(' ', '  ')} !" for text in known]
    near = [f"{text} {text} {text} too" for text in known]  # repeated words are no new shingles
    pd.DataFrame({"text": [*OTHER, *equal, *near]}).to_csv(tmp_path / "like.csv", index=False)
    with caplog.at_level("INFO"):
        rows = make(work, tmp_path / "rows", f"csv:{tmp_path / 'like.csv'}", near=0.5)
    shown = read_json(tmp_path / "rows" / "samples.json")
    assert (shown["unchanged"], shown["near"]) == (3, 3)
    assert rows["text_a"].tolist() == list(dict.fromkeys(OTHER))
    assert "left out, of any split: 3 equal to a row of the data set, 3 near one" in caplog.text


def test_the_teacher_labels_them(work: Path, tmp_path: Path) -> None:
    rows = make(work, tmp_path / "rows")
    model, tokenizer = load_model(work / "teacher").eval(), load_tokenizer(work / "teacher")
    with torch.no_grad():
        logits = model(**encode(tokenizer, rows["text_a"].tolist(), None, max_length=32).batch(range(len(rows)))).logits
    expected = torch.softmax(logits, dim=-1).numpy()
    assert np.stack(rows["probabilities"].tolist()) == pytest.approx(expected, abs=1e-5)
    assert rows["label"].tolist() == expected.argmax(axis=1).tolist()


def test_a_regression_takes_the_teachers_number(tmp_path: Path, tiny_model: Path) -> None:
    scored = pd.DataFrame({"text": [f"{text} {n}" for n, text in enumerate(OTHER)], "score": np.linspace(0, 5, 40)})
    scored.to_csv(tmp_path / "scored.csv", index=False)
    source = f"csv:{tmp_path / 'scored.csv'}"
    spec = TaskSpec(source=source, text=["text"], label="score", kind="number", metrics=["pearson"])
    prepare(task="scored", spec=spec, data=Data(), out=tmp_path / "data")
    model = f"path:{tiny_model}"
    finetune(data=tmp_path / "data", source=model, training=TRAINING, seed=0, out=tmp_path / "teacher", labels={})
    pd.DataFrame({"text": [text for text, _ in sentences(40, seed=5)]}).to_csv(tmp_path / "other.csv", index=False)
    rows = make(tmp_path, tmp_path / "rows", "csv:{work}/other.csv")
    encodings = encode(load_tokenizer(tmp_path / "teacher"), rows["text_a"].tolist(), None, max_length=32)
    with torch.no_grad():
        logits = load_model(tmp_path / "teacher").eval()(**encodings.batch(range(len(rows)))).logits
    assert rows["label"].to_numpy() == pytest.approx(logits[:, 0].numpy(), abs=1e-5)
    assert "probabilities" not in rows.columns


def test_a_smaller_choice_is_part_of_a_larger_one(work: Path, tmp_path: Path) -> None:
    few, more = (make(work, tmp_path / f"{count}", max_rows=count)["text_a"].tolist() for count in (10, 20))
    other = make(work, tmp_path / "other", max_rows=10, seed=1)["text_a"].tolist()
    assert (len(few), len(more), len(other)) == (10, 20, 10)
    assert set(few) < set(more) and set(few) != set(other)


def test_a_share_of_the_training_rows_leaves_all_of_them(work: Path, tmp_path: Path) -> None:
    count = len(make(work, tmp_path / "rows"))
    dataset = open_dataset(work / "data")
    rows = TrainingSet(dataset, 0.25, open_augmented(tmp_path / "rows"))
    assert rows.added is not None and len(rows.added) == count
    assert len(rows) == 24 + count == len(rows.encodings(load_tokenizer(work / "teacher"), max_length=32))
    assert rows.labels().shape == (24 + count, 2)


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qpp", f"{KEY}: unknown task 'qpp'; did you mean 'qqp'"),
        ("pairs", f"{KEY}: the rows of task 'pairs' are no single texts"),
        ("https://example.org/more.csv", f"{KEY}: source 'https://example.org/more.csv': addresses are not read"),
        ("csv:", f"{KEY}: source 'csv:' must be one of"),
        ("digits", f"{KEY}: the rows of task 'digits' are no single texts"),
        ("csv:{work}/none.csv", "none.csv: no such file"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_runs(work: Path, name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        pool(work, name).revisions()
    assert said in str(caught.value)


def test_texts_come_from_files_of_every_form(work: Path, tmp_path: Path) -> None:
    (tmp_path / "more.jsonl").write_text('{"text": "été, one"}\n{"text": "two"}\n', encoding="utf-8")
    (tmp_path / "more.csv.gz").write_bytes(gzip.compress("n;text\n1;été, one\n2;two\n".encode()))
    spec = TaskSpec(source=f"csv:{tmp_path / 'old.csv'}", text=["text"], encoding="cp1252")
    (tmp_path / "old.csv").write_bytes("text\tn\nété, one\t1\ntwo\t2\n".encode("cp1252"))
    for name in (f"jsonl:{tmp_path / 'more.jsonl'}", f"csv:{tmp_path / 'more.csv.gz'}", "old"):
        found = pool(work, name)
        rows, _ = Pool(found.key, found.task, found.names, {"old": spec}, found.folders).read()
        assert rows["text_a"].tolist() == ["été, one", "two"]


def test_a_missing_column_is_named(work: Path) -> None:
    with pytest.raises(UserError, match=r"other\.csv: no column 'sentence'"):
        pool(work, "csv:{work}/other.csv", text=("sentence",)).read()


def test_an_empty_text_is_named(work: Path, tmp_path: Path) -> None:
    (tmp_path / "gap.csv").write_text("text,n\nfine,1\n,2\n")
    with pytest.raises(UserError, match="row 2: column 'text' is empty"):
        pool(work, f"csv:{tmp_path / 'gap.csv'}").read()


def test_nothing_new_is_refused(work: Path, tmp_path: Path) -> None:
    rows = open_dataset(work / "data").split("dev")
    rows[["text_a"]].rename(columns={"text_a": "text"}).to_parquet(tmp_path / "dev.parquet")
    with pytest.raises(UserError, match="name other texts"):
        make(work, tmp_path / "rows", f"parquet:{tmp_path / 'dev.parquet'}")
    assert not (tmp_path / "rows" / "run.json").exists()


# Planning -------------------------------------------------------------------------------------------------------------


def planned(values: dict[str, Any], *names: str) -> Artefact:
    values["grid"] |= {"augmentations": ["other"]}
    values["augmentations"] = {"other": {"kind": "unlabelled", "texts": list(names)}}
    (rows,) = expand(parse_params(values, origin="p")).of("augment")
    return rows


def test_the_key_follows_what_the_files_hold_not_where_they_lie(
    work: Path, tmp_path: Path, tiny_values: dict[str, Any]
) -> None:
    (tmp_path / "moved.csv").write_bytes((work / "other.csv").read_bytes())
    key = planned(tiny_values, f"csv:{work / 'other.csv'}").key
    assert planned(tiny_values, f"csv:{tmp_path / 'moved.csv'}").key == key
    with open(tmp_path / "moved.csv", "a", encoding="utf-8") as stream:
        stream.write("one more\n")
    assert planned(tiny_values, f"csv:{tmp_path / 'moved.csv'}").key != key


def test_the_key_follows_which_texts_a_task_lends(
    tmp_path: Path, tiny_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTILGRID_GLUE_DIR", raising=False)  # one revision for all tasks of the hub
    (tmp_path / "own.csv").write_text("a,b\none,two\n")
    spec = {"source": f"csv:{tmp_path / 'own.csv'}", "label": "b"}
    tiny_values["tasks"] |= {"first": {**spec, "text": ["a"]}, "second": {**spec, "text": ["b"]}}
    names = ("cola", "sst2", "docs-topic", "first", "second")
    assert len({planned(tiny_values, name).key for name in names}) == len(names)


def test_the_teacher_is_an_input(work: Path, tiny_values: dict[str, Any]) -> None:
    assert set(planned(tiny_values, f"csv:{work / 'other.csv'}").inputs) == {"data", "teacher-dir"}


def test_only_unlabelled_texts_have_a_pool(tiny_values: dict[str, Any]) -> None:
    tiny_values["augmentations"] = {"eda": EDA().model_dump(), "other": {"kind": "unlabelled", "texts": ["sst2"]}}
    params = parse_params(tiny_values, origin="p")
    assert text_pool(params, task="reviews", augmentation="eda") is None
    found = text_pool(params, task="reviews", augmentation="other")
    assert found is not None and found.names == ["sst2"]
