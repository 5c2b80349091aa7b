"""MixKD cells: recorded and live teachers give the same bytes, other recordings are refused, no gradient leaks."""

import string
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.unit.made import Cell, distill, finetune, prepare, record
from transformers import BertConfig, BertModel, BertTokenizerFast

from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.methods.teaching import Sources
from distilgrid.models.io import load_tokenizer
from distilgrid.models.settings import Student
from distilgrid.signals.asking import Asking
from distilgrid.signals.base import ROWS
from distilgrid.signals.mixed.mixing import make_schedule
from distilgrid.signals.mixed.plan import MixedSignal
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training
from distilgrid.training.training_set import TrainingSet

pytestmark = pytest.mark.chain

TRAINING = Training(epochs=2, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")
METHOD = MixKD()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Path:
    """Prepared data, a teacher, and its outputs on rows and on mixed samples."""
    folder = tmp_path_factory.mktemp("work")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    data = Data(max_train_rows=96, max_dev_rows=32)
    prepare(task="reviews", spec=spec, data=data, out=folder / "data")
    source = f"path:{tiny_model}"
    finetune(data=folder / "data", source=source, training=TRAINING, seed=0, out=folder / "teacher", labels={})
    given: dict[str, Any] = {"teacher": folder / "teacher", "max_length": 32, "labels": {}}
    record(data=folder / "data", signal=ROWS["logits"], out=folder / "logits", **given)
    make_mixed(folder, folder / "mixed")
    return folder


def make_mixed(work: Path, out: Path, **changed: Any) -> None:
    given: dict[str, Any] = {"mixup": METHOD.mixup, "training": TRAINING, "fraction": 1.0}
    given |= {"teacher": work / "teacher", "max_length": 32} | changed
    signal = MixedSignal(given.pop("mixup"), given.pop("training"))
    record(signal=signal, data=work / "data", out=out, labels={}, **given)


def run_cell(
    work: Path,
    tiny_model: Path,
    out: Path,
    method: BaseMethod = METHOD,
    *,
    fraction: float = 1.0,
    seed: int = 0,
    **sources: Any,
) -> dict[str, Any]:
    cell = Cell(method, Student(layers=2), f"path:{tiny_model}", TRAINING, "none", fraction, seed)
    return distill(cell=cell, sources=Sources(data=work / "data", **sources), out=out, labels={})


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_recorded_and_live_teachers_give_the_same_bytes(
    fraction: float, work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    make_mixed(work, tmp_path / "mixed", fraction=fraction)
    recorded = run_cell(work, tiny_model, tmp_path / "a", fraction=fraction, mixed_outputs=[tmp_path / "mixed"])
    live = run_cell(work, tiny_model, tmp_path / "b", fraction=fraction, teachers=[work / "teacher"])
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert recorded["teacher_forwards"] == 0
    assert live["teacher_forwards"] == 2 * live["train_rows"], "one mixed sample for each row and epoch"


def test_the_same_holds_with_the_term_on_the_original_rows(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    method, sources = MixKD(alpha_kd=1.0), {"teacher_outputs": [work / "logits"], "mixed_outputs": [work / "mixed"]}
    run_cell(work, tiny_model, tmp_path / "a", method, **sources)
    run_cell(work, tiny_model, tmp_path / "b", method, teachers=[work / "teacher"])
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_parts_of_a_batch_do_not_change_what_a_live_teacher_says(work: Path) -> None:
    rows = TrainingSet(open_dataset(work / "data"))
    schedule = make_schedule(rows.text_lengths, METHOD.mixup, TRAINING)
    teacher = MixedSignal(METHOD.mixup, TRAINING).teacher(Asking(rows, 32, work / "teacher"))
    batch = schedule.batches[1]
    parts = torch.cat([teacher.outputs(batch[:5]).logits, teacher.outputs(batch[5:]).logits])
    recorded = load_file(work / "mixed" / "train.safetensors")["logits"][batch]
    assert torch.equal(parts, recorded)
    assert teacher.forwards == len(batch)
    assert not parts.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())


def test_all_training_seeds_share_a_recording(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        run_cell(work, tiny_model, tmp_path / str(seed), seed=seed, mixed_outputs=[work / "mixed"])
    assert (tmp_path / "0/model.safetensors").read_bytes() != (tmp_path / "1/model.safetensors").read_bytes()


@pytest.fixture
def speller(tiny_model: Path, tmp_path: Path) -> Path:
    """A pretrained model that reads letter by letter, so that its rows are longer than the teacher's."""
    letters = [prefix + letter for prefix in ("", "##") for letter in string.ascii_lowercase]
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    tokenizer = BertTokenizerFast(vocab={piece: number for number, piece in enumerate(known)})
    torch.manual_seed(1)
    config = BertConfig.from_pretrained(tiny_model)
    config.vocab_size = len(known)
    BertModel(config).save_pretrained(tmp_path / "speller")
    tokenizer.save_pretrained(tmp_path / "speller")
    return tmp_path / "speller"


def test_a_student_with_another_tokeniser_mixes_the_same_rows(work: Path, speller: Path, tmp_path: Path) -> None:
    rows = TrainingSet(open_dataset(work / "data"))
    lengths = [rows.encodings(load_tokenizer(model), max_length=32).lengths for model in (work / "teacher", speller)]
    assert (lengths[1] >= lengths[0]).all() and (lengths[1] > lengths[0]).any()
    run_cell(work, speller, tmp_path / "recorded", mixed_outputs=[work / "mixed"])
    run_cell(work, speller, tmp_path / "live", teachers=[work / "teacher"])
    recorded, live = (tmp_path / name / "model.safetensors" for name in ("recorded", "live"))
    assert recorded.read_bytes() == live.read_bytes()
    run_cell(work, speller, tmp_path / "finetune", Finetune())
    assert recorded.read_bytes() != (tmp_path / "finetune/model.safetensors").read_bytes()


def test_each_term_changes_the_student(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    mixed = {"mixed_outputs": [work / "mixed"]}
    run_cell(work, tiny_model, tmp_path / "finetune", Finetune())
    run_cell(work, tiny_model, tmp_path / "none", MixKD(alpha_sm=0, alpha_tmkd=0))
    run_cell(work, tiny_model, tmp_path / "sm", MixKD(alpha_tmkd=0))
    run_cell(work, tiny_model, tmp_path / "tmkd", MixKD(alpha_sm=0), **mixed)
    run_cell(work, tiny_model, tmp_path / "both", **mixed)
    found = {p.parent.name: p.read_bytes() for p in tmp_path.glob("*/model.safetensors")}
    assert found["none"] == found["finetune"], "without weights MixKD is fine-tuning"
    assert len(set(found.values())) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"mixup": METHOD.mixup.model_copy(update={"beta": 1.0})},
        {"mixup": METHOD.mixup.model_copy(update={"seed": 1})},
        {"training": TRAINING.model_copy(update={"epochs": 3})},
        {"training": TRAINING.model_copy(update={"batch_size": 8})},
        {"fraction": 0.5},
    ],
)
def test_a_recording_of_other_mixed_samples_is_refused(
    changed: dict[str, Any], work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    make_mixed(work, tmp_path / "mixed", **changed)
    with pytest.raises(UserError, match=r"recorded for other mixed samples.*record again"):
        run_cell(work, tiny_model, tmp_path / "a", mixed_outputs=[tmp_path / "mixed"])


def test_a_recording_with_other_token_types_is_refused(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    make_mixed(work, tmp_path / "mixed", mixup=METHOD.mixup.model_copy(update={"token_types": "keep"}))
    with pytest.raises(UserError, match=r"mixup\.token_types: keep, but this student's is mix; record again"):
        run_cell(work, tiny_model, tmp_path / "a", mixed_outputs=[tmp_path / "mixed"])


def test_mixed_samples_of_another_length_than_the_rows_are_refused(
    work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    make_mixed(work, tmp_path / "mixed", max_length=16)
    sources = {"teacher_outputs": [work / "logits"], "mixed_outputs": [tmp_path / "mixed"]}
    with pytest.raises(UserError, match=r"mixed: recorded with max_length 16, but .*logits: 32; record again"):
        run_cell(work, tiny_model, tmp_path / "a", MixKD(alpha_kd=1.0), **sources)


def test_mixed_samples_of_another_teacher_than_the_rows_are_refused(
    work: Path, tiny_model: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"source": f"path:{tiny_model}", "training": TRAINING, "labels": {}}
    finetune(data=work / "data", seed=1, out=tmp_path / "teacher", **given)
    make_mixed(work, tmp_path / "mixed", teacher=tmp_path / "teacher")
    sources = {"teacher_outputs": [work / "logits"], "mixed_outputs": [tmp_path / "mixed"]}
    with pytest.raises(UserError, match=r"--mixed-outputs: recorded of teacher \w+, but --teacher-outputs of \w+"):
        run_cell(work, tiny_model, tmp_path / "a", MixKD(alpha_kd=1.0), **sources)


def test_recordings_of_the_wrong_kind_are_refused(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds logits only.*record --kind mixed-logits"):
        run_cell(work, tiny_model, tmp_path / "a", mixed_outputs=[work / "logits"])
    with pytest.raises(UserError, match=r"holds mixed-logits only.*record --kind logits"):
        run_cell(work, tiny_model, tmp_path / "a", MixKD(alpha_kd=1.0), teacher_outputs=[work / "mixed"])


def test_without_any_teacher_the_line_names_the_options(work: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'mixkd' needs a teacher.*--mixed-outputs.*--teacher-dir"):
        run_cell(work, tiny_model, tmp_path / "a")
