"""Recordings given by hand: refused when teacher, tokeniser, length or tokens are not those of the student."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.unit.made import Cell, distill, finetune, prepare, record
from transformers import BertTokenizerFast

from distilgrid.core.artefacts import writing
from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.teaching import Sources
from distilgrid.models.settings import Student
from distilgrid.signals.base import ROWS, RowName
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain

TRAINING = Training(epochs=1, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")
HIDDEN = HiddenKD(hidden={"epochs": 1}, task=None)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Path:
    """Prepared data, two teachers, and recordings of the first one."""
    folder = tmp_path_factory.mktemp("work")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=48, max_dev_rows=16), out=folder / "data")
    for seed, name in enumerate(("teacher", "other-teacher")):
        given: dict[str, Any] = {"source": f"path:{tiny_model}", "training": TRAINING, "labels": {}}
        finetune(data=folder / "data", seed=seed, out=folder / name, **given)
    make_recording(folder, folder / "logits", "logits")
    make_recording(folder, folder / "states", "hidden-states")
    return folder


def make_recording(work: Path, out: Path, kind: RowName, **changed: Any) -> None:
    given: dict[str, Any] = {"teacher": work / "teacher", "max_length": 32} | changed
    record(data=work / "data", signal=ROWS[kind], out=out, labels={}, **given)


def rewritten(recording: Path, out: Path, **facts: Any) -> Path:
    """A whole recording whose manifest says something else."""
    run = json.loads((recording / "run.json").read_text())
    with writing(out, recipe=run["recipe"], labels={}) as folder:
        shutil.copy(recording / "train.safetensors", folder)
        manifest = json.loads((recording / "manifest.json").read_text()) | facts
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return out


def run_cell(
    work: Path,
    origin: Path,
    out: Path,
    *,
    method: BaseMethod | None = None,
    training: Training = TRAINING,
    **given: Any,
) -> Any:
    lengths = given.pop("lengths", ())

    class Lengthy(Cell):
        @property
        def settings(self) -> Any:
            return super().settings.__class__(**vars(super().settings) | {"teacher_lengths": lengths})

    cell = Lengthy(method or KD(), Student(layers=2), f"path:{origin}", training, "none", 1.0, 0)
    return distill(cell=cell, sources=Sources(data=work / "data", **given), out=out, labels={})


def test_the_teacher_that_is_given_must_be_that_of_the_recording(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    recorded = {"teacher_outputs": [work / "logits"]}
    run_cell(work, tiny_model, tmp_path / "a", teachers=[work / "teacher"], **recorded)
    with pytest.raises(
        UserError, match=r"logits: recorded of teacher \w+, but --teacher-dir gives \w+; give the folder"
    ):
        run_cell(work, tiny_model, tmp_path / "b", teachers=[work / "other-teacher"], **recorded)


@pytest.mark.parametrize(("fact", "said"), [("teacher_weights_sha256", "weights"), ("tokenizer_sha256", "tokeniser")])
def test_weights_and_tokeniser_of_the_teacher_are_compared(
    fact: str, said: str, work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    old = rewritten(work / "logits", tmp_path / "old", **{fact: "0" * 64})
    with pytest.raises(UserError, match=rf"old: recorded with {said} 000000000000, but \S+teacher: \w+; record again"):
        run_cell(work, tiny_model, tmp_path / "a", teachers=[work / "teacher"], teacher_outputs=[old])
    with pytest.raises(UserError, match=rf"old: recorded with {said} 000000000000, but \S+logits: \w+; record again"):
        run_cell(work, tiny_model, tmp_path / "b", teacher_outputs=[work / "logits", old])


def test_the_length_of_inputs_is_compared(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    recorded = {"teacher_outputs": [work / "logits"]}
    run_cell(work, tiny_model, tmp_path / "a", lengths=(32,), **recorded)
    with pytest.raises(UserError, match=r"with max_length 32, but the teacher's settings: 64; record again"):
        run_cell(work, tiny_model, tmp_path / "b", lengths=(64,), **recorded)


@pytest.fixture
def shuffled(tiny_model: Path, tmp_path: Path) -> Path:
    """The same model, whose tokeniser cuts texts alike but numbers the pieces differently."""
    tokenizer = BertTokenizerFast.from_pretrained(tiny_model)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    vocab = {piece: number for number, piece in enumerate([*pieces[:5], *reversed(pieces[5:])])}
    shutil.copytree(tiny_model, tmp_path / "shuffled")
    BertTokenizerFast(vocab=vocab).save_pretrained(tmp_path / "shuffled")
    return tmp_path / "shuffled"


@pytest.mark.parametrize("source", ["recorded", "live"])
def test_hidden_states_are_of_the_very_tokens_that_the_student_reads(
    source: str, work: Path, tiny_model: Path, shuffled: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"teachers": [work / "teacher"]}
    if source == "recorded":
        given = {"teacher_outputs": [work / "states"]}
    run_cell(work, tiny_model, tmp_path / "a", method=HIDDEN, **given)
    with pytest.raises(UserError, match=r"training row 1 has (\d+) tokens .* and \1 as the student does"):
        run_cell(work, shuffled, tmp_path / "b", method=HIDDEN, **given)


def test_a_student_that_reads_shorter_rows_is_refused_with_the_row(
    work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    short = TRAINING.model_copy(update={"max_length": 5})
    with pytest.raises(UserError, match=r"states: training row \d+ has \d+ tokens as the teacher reads it and 5 as"):
        run_cell(work, tiny_model, tmp_path / "a", method=HIDDEN, training=short, teacher_outputs=[work / "states"])
