"""Tokenised splits: made once and kept beside the data, never trusted when damaged, and no part of any result."""

import contextlib
import json
import logging
import multiprocessing
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.made import prepare

from distilgrid.models.io import load_tokenizer
from distilgrid.tasks import batching
from distilgrid.tasks.batching import Encodings, encode, tokenised
from distilgrid.tasks.dataset import Dataset, open_dataset, texts
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

LENGTH = 16


@pytest.fixture
def dataset(tmp_path: Path, reviews_csv: Path) -> Dataset:
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=60), out=tmp_path / "data")
    return open_dataset(tmp_path / "data")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths that the tokeniser was called with."""
    made: list[int] = []

    def counted(*given: Any, max_length: int) -> Encodings:
        made.append(max_length)
        return encode(*given, max_length=max_length)

    monkeypatch.setattr(batching, "encode", counted)
    return made


def train_rows(dataset: Dataset, model: Path, *, length: int = LENGTH) -> Encodings:
    """The training rows through a tokeniser that was loaded just now, as every job does."""
    return tokenised(dataset, "train", tokenizer=load_tokenizer(model), max_length=length)


def expected(dataset: Dataset, model: Path, *, length: int = LENGTH) -> Encodings:
    return encode(load_tokenizer(model), *texts(dataset.split("train")), max_length=length)


def equal(first: Encodings, second: Encodings) -> bool:
    if (first.segments is None) != (second.segments is None) or first.pad_id != second.pad_id:
        return False
    pairs = [(first.tokens, second.tokens), (first.offsets, second.offsets)]
    if first.segments is not None and second.segments is not None:
        pairs.append((first.segments, second.segments))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def folders(dataset: Dataset) -> list[Path]:
    return sorted((dataset.folder / ".tokens").iterdir())


def test_a_split_is_tokenised_once(dataset: Dataset, tiny_model: Path, calls: list[int]) -> None:
    made, kept = (train_rows(dataset, tiny_model) for _ in range(2))
    assert calls == [LENGTH]
    assert equal(made, expected(dataset, tiny_model))
    assert equal(kept, made)
    assert isinstance(kept.tokens, np.memmap), "jobs share its memory"


def test_each_split_is_found_whatever_was_tokenised_before(
    dataset: Dataset, tiny_model: Path, calls: list[int]
) -> None:
    for splits in (["train", "dev"], ["train", "dev", "validation"], ["dev"], ["validation", "train"]):
        tokenizer = load_tokenizer(tiny_model)
        for split in splits:
            tokenised(dataset, split, tokenizer=tokenizer, max_length=LENGTH)
    assert len(calls) == len(folders(dataset)) == 3


def test_a_tokeniser_is_saved_alike_whether_the_cache_was_used_or_not(
    dataset: Dataset, tiny_model: Path, tmp_path: Path
) -> None:
    for name in ("made", "kept"):
        tokenizer = load_tokenizer(tiny_model)
        tokenised(dataset, "train", tokenizer=tokenizer, max_length=LENGTH)
        tokenizer.save_pretrained(str(tmp_path / name))
    for path in (tmp_path / "made").iterdir():
        assert path.read_bytes() == (tmp_path / "kept" / path.name).read_bytes()


def test_another_length_is_kept_apart(dataset: Dataset, tiny_model: Path, calls: list[int]) -> None:
    for _ in range(2):
        for length in (LENGTH, 6):
            assert equal(train_rows(dataset, tiny_model, length=length), expected(dataset, tiny_model, length=length))
    assert calls == [LENGTH, 6]
    assert len(folders(dataset)) == 2


def test_a_tokeniser_of_a_model_without_segments_is_kept_apart(
    dataset: Dataset, tiny_model: Path, calls: list[int]
) -> None:
    assert train_rows(dataset, tiny_model).segments is not None
    for _ in range(2):
        tokenizer = load_tokenizer(tiny_model)
        tokenizer.model_input_names = ["input_ids", "attention_mask"]  # as DistilBERT's, on the same vocabulary
        assert tokenised(dataset, "train", tokenizer=tokenizer, max_length=LENGTH).segments is None
    assert calls == [LENGTH, LENGTH]


def test_another_tokeniser_is_kept_apart(dataset: Dataset, tiny_model: Path, tmp_path: Path, calls: list[int]) -> None:
    other = tmp_path / "other"
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.add_tokens(["quite", "veryquite"])
    tokenizer.save_pretrained(str(other))
    content = json.loads((other / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["film"], vocabulary["story"] = vocabulary["story"], vocabulary["film"]
    (other / "tokenizer.json").write_text(json.dumps(content))
    first, second = (train_rows(dataset, model) for model in (tiny_model, other))
    assert not equal(first, second)
    assert equal(second, expected(dataset, other))
    assert len(calls) == len(folders(dataset)) == 2


# Damage ---------------------------------------------------------------------------------------------------------------


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def check_that_it_is_made_anew(
    dataset: Dataset, model: Path, calls: list[int], caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    whole = expected(dataset, model)
    train_rows(dataset, model)
    (folder,) = folders(dataset)
    damage(folder)
    assert equal(train_rows(dataset, model), whole)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [str(folder) in line for line in warnings] == [True]
    assert equal(train_rows(dataset, model), whole)
    assert calls == [LENGTH] * 2, "the new files are kept"
    assert folders(dataset) == [folder]


@pytest.mark.parametrize("damage", [change_a_byte, truncate, Path.unlink])
@pytest.mark.parametrize("name", [*(f"{part}.npy" for part in batching.PARTS), "manifest.json"])
def test_a_damaged_file_is_noticed(
    dataset: Dataset,
    tiny_model: Path,
    calls: list[int],
    caplog: pytest.LogCaptureFixture,
    name: str,
    damage: Callable[[Path], None],
) -> None:
    check_that_it_is_made_anew(dataset, tiny_model, calls, caplog, lambda folder: damage(folder / name))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"tokens.npy": 1}'])
def test_a_damaged_manifest_is_noticed(
    dataset: Dataset, tiny_model: Path, calls: list[int], caplog: pytest.LogCaptureFixture, text: str
) -> None:
    def damage(folder: Path) -> None:
        (folder / "manifest.json").write_text(text)

    check_that_it_is_made_anew(dataset, tiny_model, calls, caplog, damage)


def test_files_that_go_while_they_are_read_are_made_anew(
    dataset: Dataset, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError

    whole = train_rows(dataset, tiny_model)
    monkeypatch.setattr(np, "load", gone)
    assert equal(train_rows(dataset, tiny_model), whole)


# Where nothing can be kept --------------------------------------------------------------------------------------------


def check_that_nothing_is_kept(dataset: Dataset, model: Path, calls: list[int]) -> None:
    for _ in range(2):
        assert equal(train_rows(dataset, model), expected(dataset, model))
    assert len(calls) == 2


def test_a_file_in_the_way_keeps_nothing(dataset: Dataset, tiny_model: Path, calls: list[int]) -> None:
    (dataset.folder / ".tokens").write_text("in the way")
    check_that_nothing_is_kept(dataset, tiny_model, calls)


def test_a_read_only_disk_keeps_nothing(
    dataset: Dataset, tiny_model: Path, calls: list[int], mounted: Callable[[str], Path]
) -> None:
    disk = mounted("size=1m")
    for path in dataset.folder.iterdir():
        (disk / path.name).write_bytes(path.read_bytes())
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    check_that_nothing_is_kept(open_dataset(disk), tiny_model, calls)


def test_a_full_disk_keeps_nothing(
    dataset: Dataset, tiny_model: Path, calls: list[int], mounted: Callable[[str], Path]
) -> None:
    disk = mounted("size=40k")
    for path in dataset.folder.iterdir():
        (disk / path.name).write_bytes(path.read_bytes())
    (disk / "fill").write_bytes(b"x" * shutil.disk_usage(disk).free)
    check_that_nothing_is_kept(open_dataset(disk), tiny_model, calls)
    assert not (disk / ".tokens").exists() or not any((disk / ".tokens").iterdir())


# Two processes --------------------------------------------------------------------------------------------------------


def repeatedly(folder: Path, model: Path, start: Any, damaging: bool) -> None:
    """Tokenise many times, removing what is there before each time or not."""
    dataset, whole = open_dataset(folder), expected(open_dataset(folder), model)
    tokenizer = load_tokenizer(model)
    start.wait()
    for turn in range(30):
        if damaging:
            for path in (folder / ".tokens").glob("train-*/manifest.json"):
                with contextlib.suppress(FileNotFoundError):  # another process has just replaced it
                    path.write_text("{" if turn % 2 else "[]")
        assert equal(tokenised(dataset, "train", tokenizer=tokenizer, max_length=LENGTH), whole)


@pytest.fixture
def started() -> Iterator[Callable[..., Any]]:
    """Starts a function in a process of its own."""
    processes: list[Any] = []

    def start(function: Callable[..., None], *given: object) -> Any:
        processes.append(multiprocessing.get_context("fork").Process(target=function, args=given))
        processes[-1].start()
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()


@pytest.mark.parametrize("damaging", [False, True])
def test_processes_at_once_do_no_harm(
    dataset: Dataset, tiny_model: Path, started: Callable[..., Any], damaging: bool
) -> None:
    start = multiprocessing.get_context("fork").Barrier(3)
    running = [started(repeatedly, dataset.folder, tiny_model, start, damaging and not i) for i in range(3)]
    for process in running:
        process.join(timeout=60)
    assert [process.exitcode for process in running] == [0] * 3
    assert equal(train_rows(dataset, tiny_model), expected(dataset, tiny_model))
    assert len(folders(dataset)) == 1, "no scratch folder is left"


# Some of the rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [True, False])
def test_a_subset_holds_the_chosen_rows(dataset: Dataset, tiny_model: Path, segments: bool) -> None:
    first = texts(dataset.split("train"))[0]
    second = first[1:] + first[:1] if segments else None
    tokenizer = load_tokenizer(tiny_model)
    if not segments:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    rows = [7, 3, 3, 59, 0]
    alone = encode(
        tokenizer,
        [first[row] for row in rows],
        [second[row] for row in rows] if second is not None else None,
        max_length=LENGTH,
    )
    whole = encode(tokenizer, first, second, max_length=LENGTH)
    assert (whole.segments is not None) == segments
    assert equal(whole.take(rows), alone)
    assert whole.take(rows).batch([4, 0])["input_ids"].tolist() == whole.batch([0, 7])["input_ids"].tolist()
