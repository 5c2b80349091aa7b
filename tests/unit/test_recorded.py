"""Recorded teacher outputs: trusted only when whole and of the very data and teacher; aligned by content."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.unit.made import Cell, distill, finetune, prepare, record

from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.pkd.declare import PKD
from distilgrid.methods.teaching import Sources
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.models.settings import Student, StudentShape
from distilgrid.signals.asking import Asking
from distilgrid.signals.base import ROWS
from distilgrid.tasks.batching import encode
from distilgrid.tasks.dataset import Dataset, open_dataset, texts
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training
from distilgrid.training.teacher import StoredTeacher
from distilgrid.training.training_set import TrainingSet

pytestmark = pytest.mark.chain

TRAINING = Training(epochs=1, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Path:
    """Prepared data, a fine-tuned teacher and both kinds of recordings."""
    folder = tmp_path_factory.mktemp("work")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    for seed, name in ((0, "data"), (1, "other-data")):
        data = Data(max_train_rows=96, max_dev_rows=32, seed=seed)
        prepare(task="reviews", spec=spec, data=data, out=folder / name)
    source = f"path:{tiny_model}"
    finetune(data=folder / "data", source=source, training=TRAINING, seed=0, out=folder / "teacher", labels={})
    for kind in ("logits", "cls-states"):
        make_recording(folder, kind, folder / kind)
    return folder


def make_recording(work: Path, kind: str, out: Path) -> None:
    record(data=work / "data", teacher=work / "teacher", signal=ROWS[kind], max_length=32, out=out, labels={})


def run_cell(work: Path, tiny_model: Path, out: Path, method: BaseMethod, **inputs: Any) -> dict[str, Any]:
    cell = Cell(method, Student(layers=2), f"path:{tiny_model}", TRAINING, "none", inputs.pop("fraction", 1.0), 0)
    return distill(cell=cell, sources=Sources(**({"data": work / "data"} | inputs)), out=out, labels={})


def open_recorded(folder: Path, dataset: Dataset, ids: np.ndarray, *, wanted: str = "logits") -> StoredTeacher:
    """The recording, aligned to rows of these ids."""

    class Rows(TrainingSet):
        example_ids = ids

    return ROWS[wanted].teacher(Asking(Rows(dataset), 32)).open([folder])


def test_the_recording_holds_the_teachers_outputs(work: Path) -> None:
    rows = open_dataset(work / "data").split("train")
    recorded = load_file(work / "cls-states" / "train.safetensors")
    model, tokenizer = load_model(work / "teacher"), load_tokenizer(work / "teacher")
    encodings = encode(tokenizer, *texts(rows), max_length=32)
    with torch.no_grad():
        expected = model(**encodings.batch([5]), output_hidden_states=True)
    assert torch.equal(recorded["example_ids"], torch.tensor(rows["example_id"].to_numpy()))
    assert torch.allclose(recorded["logits"][5], expected.logits[0], atol=1e-5)
    assert recorded["cls_states"].shape == (len(rows), 4, 32)
    last = expected.hidden_states[4][0, 0]
    assert torch.allclose(recorded["cls_states"][5, 3].float(), last, atol=2e-3), "fp16"
    assert json.loads((work / "logits" / "manifest.json").read_text())["teacher_forwards"] == len(rows)


def test_states_of_all_tokens_are_kept_without_padding(work: Path, tmp_path: Path) -> None:
    make_recording(work, "hidden-states", tmp_path / "rec")
    dataset = open_dataset(work / "data")
    rows = dataset.split("train")
    model, tokenizer = load_model(work / "teacher"), load_tokenizer(work / "teacher")
    encodings = encode(tokenizer, *texts(rows), max_length=32)
    recorded = load_file(tmp_path / "rec" / "train.safetensors")
    assert recorded["token_states"].shape == (int(encodings.lengths.sum()), 4, 32)
    assert recorded["token_states"].dtype == torch.float16
    ids = rows["example_id"].to_numpy()[::-1].copy()
    teacher = open_recorded(tmp_path / "rec", dataset, ids, wanted="hidden-states")
    last = len(rows) - 1
    with torch.no_grad():
        alone = [model(**encodings.batch([row]), output_hidden_states=True) for row in (7, 90)]
    expected = torch.cat([torch.stack(one.hidden_states[1:], dim=1)[0].transpose(0, 1) for one in alone])
    found = teacher.outputs([last - 7, last - 90])
    assert found.token_states is not None
    assert torch.allclose(found.token_states.float(), expected, atol=2e-3)
    assert torch.allclose(found.logits, torch.cat([one.logits for one in alone]), atol=1e-5)
    with pytest.raises(UserError, match=r"holds logits only, but this method needs hidden-states; record --kind"):
        open_recorded(work / "logits", dataset, ids, wanted="hidden-states")


def test_a_student_of_another_width_learns_from_hidden_states(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    make_recording(work, "hidden-states", tmp_path / "rec")
    method = HiddenKD(hidden={"epochs": 2}, task={"epochs": 1})
    shape = StudentShape(num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=24)
    student = Student(architecture=shape)
    for name, source in (("a", {"teacher_outputs": [tmp_path / "rec"]}), ("b", {"teachers": [work / "teacher"]})):
        cell = Cell(method, student, f"path:{tiny_model}", TRAINING, "none", 1.0, 0)
        sources = Sources(data=work / "data", **source)  # type: ignore[arg-type]
        metrics = distill(cell=cell, sources=sources, out=tmp_path / name, labels={})
        assert [phase["name"] for phase in metrics["phases"]] == ["hidden", "task"]
        assert metrics["teacher_forwards"] == (0 if name == "a" else metrics["train_rows"])
    saved = [load_file(tmp_path / name / "model.safetensors") for name in "ab"]
    assert not any("companion" in weight for weight in saved[0]), "the projection is no part of the student"
    assert all(torch.equal(saved[0][weight], saved[1][weight]) for weight in saved[0]), "recorded or live"


def test_a_student_costs_no_teacher_forwards(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    metrics = run_cell(work, tiny_model, tmp_path / "a", KD(), teacher_outputs=[work / "logits"])
    assert metrics["teacher_forwards"] == 0
    live = run_cell(work, tiny_model, tmp_path / "b", KD(), teachers=[work / "teacher"])
    assert live["teacher_forwards"] == live["train_rows"]
    assert live["score"] == pytest.approx(metrics["score"], abs=0.05)


def test_rows_are_found_by_content_not_by_order(work: Path) -> None:
    dataset = open_dataset(work / "data")
    ids = dataset.split("train")["example_id"].to_numpy()
    shuffled = np.random.default_rng(0).permutation(len(ids))[:40]
    straight = open_recorded(work / "logits", dataset, ids)
    mixed = open_recorded(work / "logits", dataset, ids[shuffled])
    assert torch.equal(straight.outputs(shuffled.tolist()).logits, mixed.outputs(range(40)).logits)


def test_a_share_of_the_rows_is_recorded_for_its_students(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"signal": ROWS["logits"], "max_length": 32, "labels": {}, "fraction": 0.25}
    record(data=work / "data", teacher=work / "teacher", out=tmp_path / "rec", **given)
    assert len(load_file(tmp_path / "rec" / "train.safetensors")["logits"]) == 24
    metrics = run_cell(work, tiny_model, tmp_path / "a", KD(), teacher_outputs=[tmp_path / "rec"], fraction=0.25)
    assert (metrics["teacher_forwards"], metrics["train_rows"]) == (0, 24)
    with pytest.raises(UserError, match=r"no recorded output for training row .*record again"):
        run_cell(work, tiny_model, tmp_path / "b", KD(), teacher_outputs=[tmp_path / "rec"], fraction=0.5)


def test_a_fraction_uses_the_same_recording(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    metrics = run_cell(work, tiny_model, tmp_path / "a", KD(), teacher_outputs=[work / "logits"], fraction=0.25)
    assert metrics["train_rows"] == pytest.approx(24, abs=1)
    assert metrics["teacher_forwards"] == 0


def test_a_changed_byte_is_refused(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    make_recording(work, "logits", tmp_path / "rec")
    shard = tmp_path / "rec" / "train.safetensors"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"train\.safetensors: content differs"):
        run_cell(work, tiny_model, tmp_path / "a", KD(), teacher_outputs=[tmp_path / "rec"])
    assert not (tmp_path / "a" / "run.json").exists()


def test_a_truncated_recording_is_refused(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    make_recording(work, "logits", tmp_path / "rec")
    shard = tmp_path / "rec" / "train.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UserError, match="content differs"):
        run_cell(work, tiny_model, tmp_path / "a", KD(), teacher_outputs=[tmp_path / "rec"])


def test_a_recording_cut_off_before_its_end_is_refused(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    make_recording(work, "logits", tmp_path / "rec")
    (tmp_path / "rec" / "run.json").unlink()  # it is written last, so a killed job leaves none
    with pytest.raises(UserError, match=r"run\.json: cannot be read"):
        run_cell(work, tiny_model, tmp_path / "a", KD(), teacher_outputs=[tmp_path / "rec"])


def test_a_recording_of_other_data_is_refused(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="recorded on data"):
        run_cell(work, tiny_model, tmp_path / "a", KD(), data=work / "other-data", teacher_outputs=[work / "logits"])


def test_missing_rows_are_refused(work: Path) -> None:
    dataset = open_dataset(work / "data")
    ids = np.append(dataset.split("train")["example_id"].to_numpy(), 12345)
    with pytest.raises(UserError, match=r"no recorded output for training row 97 \(1 missing\)"):
        open_recorded(work / "logits", dataset, ids)


def test_a_method_that_needs_states_refuses_a_recording_without_them(
    work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="needs cls-states"):
        run_cell(work, tiny_model, tmp_path / "a", PKD(), teacher_outputs=[work / "logits"])


def test_a_method_that_needs_a_teacher_says_so(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a teacher"):
        run_cell(work, tiny_model, tmp_path / "a", KD())


def test_another_teacher_gives_another_key(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    source = f"path:{tiny_model}"
    finetune(data=work / "data", source=source, training=TRAINING, seed=1, out=tmp_path / "teacher", labels={})
    keys = []
    for teacher in (work / "teacher", tmp_path / "teacher"):
        out = tmp_path / f"rec-{len(keys)}"
        record(data=work / "data", teacher=teacher, signal=ROWS["logits"], max_length=32, out=out, labels={})
        keys.append(json.loads((out / "run.json").read_text())["key"])
    assert keys[0] != keys[1]


def test_the_same_cell_gives_the_same_bytes(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_cell(work, tiny_model, tmp_path / name, PKD(beta=5), teacher_outputs=[work / "cls-states"])
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert (tmp_path / "a/predictions.parquet").read_bytes() == (tmp_path / "b/predictions.parquet").read_bytes()
