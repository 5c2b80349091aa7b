"""Recordings that end early: the next job keeps what was written, asks for the rest, and makes the same bytes."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.made import finetune, prepare, record

from distilgrid.core.artefacts import STATE
from distilgrid.core.errors import UserError
from distilgrid.signals import asking
from distilgrid.signals.asking import FILE
from distilgrid.signals.base import ROWS, Signal
from distilgrid.signals.mixed.plan import MixedSignal, Mixup
from distilgrid.signals.tensor_file import TYPES, bytes_of, filled, tensors_of
from distilgrid.signals.views.plan import ViewSignal
from distilgrid.tasks.settings import Data, Views
from distilgrid.tasks.spec import TaskSpec, find_task
from distilgrid.training.settings import Execution, Training

chain = pytest.mark.chain
TRAINING = Training(epochs=2, batch_size=16, learning_rate=1e-3, max_length=32, precision="fp32")
OFTEN, NEVER = 1e-9, 3600.0  # seconds between two saves
SIGNALS: dict[str, Signal] = {
    **ROWS,
    "mixed-logits": MixedSignal(Mixup(), TRAINING),
    "view-logits": ViewSignal(Views(shift=1), 4),
}


class Died(BaseException):
    """The end of a process, as far as its files can tell."""


class Teacher:
    """Counts the batches that teachers answer, and does something ahead of one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.then, self.does = 0, 0, lambda: None
        plain = asking.forward

        def forward(*given: Any, **named: Any) -> Any:
            if self.asked + 1 == self.then:
                self.does()
            self.asked += 1
            return plain(*given, **named)

        monkeypatch.setattr(asking, "forward", forward)

    def reset(self, then: int = 0, does: Callable[[], Any] = lambda: None) -> None:
        self.asked, self.then, self.does = 0, then, does


def die() -> None:
    raise Died


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    return Teacher(monkeypatch)


class Work:
    """Data and teachers of texts and of images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self, kind: str, out: Path, *, seconds: float = OFTEN, fraction: float = 1.0) -> None:
        images = "-of-images" if kind == "view-logits" else ""
        places = {name: self.folder / f"{name}{images}" for name in ("data", "teacher")}
        execution = Execution(checkpoint_seconds=seconds)
        given: dict[str, Any] = {"max_length": 32, "labels": {}, "fraction": fraction, **places}
        record(signal=SIGNALS[kind], out=out, execution=execution, **given)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, reviews_csv: Path, tiny_model: Path) -> Work:
    folder = tmp_path_factory.mktemp("work")
    spec = TaskSpec(source=f"csv:{reviews_csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=300, max_dev_rows=32), out=folder / "data")
    data = Data(max_train_rows=200, max_dev_rows=60, max_validation_rows=100)
    prepare(task="digits", spec=find_task("digits", {}), data=data, out=folder / "data-of-images")
    given: dict[str, Any] = {"training": TRAINING, "seed": 0, "labels": {}}
    sources = {"": f"path:{tiny_model}", "-of-images": "new:resnet-8"}
    for name, source in sources.items():
        finetune(data=folder / f"data{name}", source=source, out=folder / f"teacher{name}", fraction=0.2, **given)
    return Work(folder)


def made(out: Path) -> dict[str, bytes]:
    """What the artefact holds; nothing else is left in its folder."""
    assert {path.name for path in out.iterdir()} == {FILE, "manifest.json", "run.json", ".lock"}
    return {name: (out / name).read_bytes() for name in (FILE, "manifest.json")}


def interrupted(work: Work, teacher: Teacher, out: Path, kind: str, *, after: int) -> int:
    """A recording that ended after some batches; returns how many there are."""
    teacher.reset()
    work.record(kind, out.with_name("undisturbed"), seconds=NEVER)
    whole = teacher.asked
    teacher.reset(after + 1, die)
    with pytest.raises(Died):
        work.record(kind, out)
    assert not (out / "run.json").exists() and (out / STATE / FILE).exists()
    teacher.reset()
    return whole


@chain
@pytest.mark.parametrize("kind", SIGNALS)
def test_the_teacher_is_asked_for_the_rest_alone(kind: str, work: Work, teacher: Teacher, tmp_path: Path) -> None:
    whole = interrupted(work, teacher, tmp_path / "rec", kind, after=2)
    assert whole >= 4
    work.record(kind, tmp_path / "rec")
    assert teacher.asked == whole - 2
    assert made(tmp_path / "rec") == made(tmp_path / "undisturbed")


@chain
@pytest.mark.parametrize("kind", SIGNALS)
def test_a_file_that_is_filled_is_one_that_the_library_writes(kind: str, work: Work, tmp_path: Path) -> None:
    work.record(kind, tmp_path / "rec", seconds=NEVER)
    save_file(load_file(tmp_path / "rec" / FILE), tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == (tmp_path / "rec" / FILE).read_bytes()


def flip(path: Path) -> None:
    """Change the logits of the second batch's rows; long rows are asked for first."""
    tensors = tensors_of(path)
    logits = tensors["logits"].whole()
    rows = torch.argsort(tensors["lengths"].whole(), descending=True, stable=True)[64:128]
    (extent,) = tensors["logits"].extents
    place = extent.start + int(rows[7]) * logits.shape[1] * 4
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


@chain
@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (flip, 1),
        (lambda path: os.truncate(path, 1000), 0),
        (lambda path: path.unlink(), 0),
        (lambda path: [each.write_bytes(b"") for each in path.parent.glob("step-*")], 0),
    ],
    ids=["flipped", "truncated", "missing", "state"],
)
def test_damaged_rows_are_asked_for_again(
    damage: Callable[[Path], Any], kept: int, work: Work, teacher: Teacher, tmp_path: Path
) -> None:
    whole = interrupted(work, teacher, tmp_path / "rec", "hidden-states", after=3)
    damage(tmp_path / "rec" / STATE / FILE)
    work.record("hidden-states", tmp_path / "rec")
    assert teacher.asked == whole - kept
    assert made(tmp_path / "rec") == made(tmp_path / "undisturbed")


@chain
def test_rows_of_another_recipe_are_not_taken(work: Work, teacher: Teacher, tmp_path: Path) -> None:
    interrupted(work, teacher, tmp_path / "rec", "logits", after=2)
    begun = sorted(path.name for path in (tmp_path / "rec").rglob("*"))
    with pytest.raises(UserError, match="rec: holds unfinished work of other settings or inputs"):
        work.record("logits", tmp_path / "rec", fraction=0.5)
    assert sorted(path.name for path in (tmp_path / "rec").rglob("*")) == begun


@chain
def test_a_recording_that_is_told_to_stop_keeps_what_it_has(work: Work, teacher: Teacher, tmp_path: Path) -> None:
    work.record("mixed-logits", tmp_path / "undisturbed", seconds=NEVER)
    whole = teacher.asked
    teacher.reset(10, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        work.record("mixed-logits", tmp_path / "rec", seconds=NEVER)
    assert ended.value.code == os.EX_TEMPFAIL
    assert teacher.asked == 10
    teacher.reset()
    work.record("mixed-logits", tmp_path / "rec", seconds=NEVER)
    assert teacher.asked == whole - 10
    assert made(tmp_path / "rec") == made(tmp_path / "undisturbed")


@chain
def test_a_job_that_ends_after_its_last_batch_asks_nothing_again(
    work: Work, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.record("logits", tmp_path / "undisturbed", seconds=NEVER)
    with monkeypatch.context() as patched:
        patched.setattr("distilgrid.core.artefacts._publish", lambda *_: die())  # as when a large file is hashed
        with pytest.raises(Died):
            work.record("logits", tmp_path / "rec")
    teacher.reset()
    work.record("logits", tmp_path / "rec")
    assert teacher.asked == 0
    assert made(tmp_path / "rec") == made(tmp_path / "undisturbed")


@chain
def test_a_job_that_fails_at_its_first_batch_leaves_nothing(work: Work, teacher: Teacher, tmp_path: Path) -> None:
    teacher.reset(1, die)
    with pytest.raises(Died):
        work.record("logits", tmp_path / "rec")
    assert not (tmp_path / "rec").exists()


# The file -------------------------------------------------------------------------------------------------------------


def some(count: int, seed: int) -> dict[str, torch.Tensor]:
    """Tensors (count, ...) of all types, in no order."""
    generator = torch.Generator().manual_seed(seed)
    rows = {"b": (3, 2), "a": (), "aa": (5,), "é": (2,), "z": (1,), "c": ()}
    drawn = {name: torch.randint(0, 100, (count, *row), generator=generator) for name, row in rows.items()}
    return {name: drawn[name].to(dtype) for name, dtype in zip(drawn, TYPES.values(), strict=True)}


def written(path: Path, tensors: dict[str, torch.Tensor], order: torch.Tensor) -> None:
    """Fill a file by rows in some order."""
    file = filled(path, {name: (each.dtype, tuple(each.shape)) for name, each in tensors.items()}, new=True)
    for part in order.split(3):
        for name, tensor in tensors.items():
            file[name][part] = tensor[part]


def test_a_file_filled_in_any_order_is_that_of_the_library(tmp_path: Path) -> None:
    tensors = some(11, seed=0)
    save_file(tensors, tmp_path / "expected")
    written(tmp_path / "filled", tensors, torch.randperm(11, generator=torch.Generator().manual_seed(1)))
    assert (tmp_path / "filled").read_bytes() == (tmp_path / "expected").read_bytes()


def test_rows_of_files_are_those_of_tensors(tmp_path: Path) -> None:
    parts = [some(7, seed=2), some(4, seed=3)]
    for number, part in enumerate(parts):
        save_file(part, tmp_path / str(number), metadata={"of": "another writer"})
    first, second = (tensors_of(tmp_path / str(number)) for number in range(2))
    chosen, index = torch.tensor([10, 6, 7, 8, 0, 0, 3]), torch.tensor([1, 2, 3, 0, 6, 6])
    for name in first:
        expected, joined = torch.cat([part[name] for part in parts]), first[name].joined([second[name]])
        assert joined.shape == tuple(expected.shape) and torch.equal(joined.whole(), expected)
        assert torch.equal(joined.take(chosen).take(index).whole(), expected[chosen[index]])
        assert torch.equal(joined.take(chosen)[index], expected[chosen[index]])
    flat = first["b"].flattened(2)
    assert torch.equal(flat[torch.tensor([20, 0, 1])], parts[0]["b"].flatten(0, 1)[[20, 0, 1]])
    assert bytes(bytes_of(parts[0]["b"])) == parts[0]["b"].numpy().tobytes()


def test_no_rows_are_read_and_written_as_none(tmp_path: Path) -> None:
    made = filled(tmp_path / "a.safetensors", {"a": (torch.float32, (0, 2)), "b": (torch.float32, (3, 2))}, new=True)
    made["a"][torch.arange(0)] = torch.empty(0, 2)
    assert made["a"].whole().shape == made["b"][torch.arange(0)].shape == (0, 2)


def test_a_file_that_was_cut_short_is_an_error_of_the_system(tmp_path: Path) -> None:
    save_file(some(7, seed=2), tmp_path / "file")
    tensors = tensors_of(tmp_path / "file")
    os.truncate(tmp_path / "file", 700)
    with pytest.raises(OSError, match="Input/output error"):
        [tensor.whole() for tensor in tensors.values()]
