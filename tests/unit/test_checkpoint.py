"""Training that was stopped goes on to the same bits; a state that cannot be trusted or saved does no harm."""

import copy
import errno
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from distilgrid.artefacts import STATE, writing
from distilgrid.distillation.registry import build_objective
from distilgrid.distillation.settings import PKD, Finetune, Method
from distilgrid.distillation.teacher import RecordedTeacher, TeacherOutputs
from distilgrid.models.io import load_model
from distilgrid.training import checkpoint, loop
from distilgrid.training.batching import Encodings, Rows
from distilgrid.training.checkpoint import Checkpoints, Interrupted, Saved
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training

METHODS: dict[str, Method] = {"finetune": Finetune(), "pkd": PKD(beta=10.0)}
SHORT = Training(epochs=2, batch_size=8, learning_rate=1e-3, evaluations_per_epoch=2)
STEPS, FIRST_EVALUATION = 16, 4
STOPS = {"early": 1, "before an evaluation": 3, "after an evaluation": 4, "between": 9, "last but one": STEPS - 1}
VARIANTS = {
    "accumulation": SHORT.model_copy(update={"accumulation": 3}),
    "layer decay": SHORT.model_copy(update={"layer_decay": 0.7, "weight_decay": 0.1}),
    "token budget": SHORT.model_copy(update={"batch_tokens": 64}),
    "bf16": SHORT.model_copy(update={"precision": "bf16"}),
    "plain": SHORT.model_copy(update={"engine": "plain"}),
}
ENOSPC = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
WARNING = "could not be saved"


def make_rows(count: int, seed: int) -> Rows:
    """Rows whose label is whether token 7 occurs."""
    chooser = np.random.default_rng(seed)
    labels = chooser.integers(0, 2, size=count)
    ids = []
    for label in labels:
        body = chooser.integers(10, 30, size=chooser.integers(2, 12))
        body[0] = 7 if label else 8
        ids.append(np.concatenate([[2], body, [3]]))
    return Rows(Encodings.of(ids, None, pad_id=0), torch.from_numpy(labels))


def recorded_teacher() -> TeacherOutputs:
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(64, 4, 32, generator=generator).half()
    return RecordedTeacher(torch.randn(64, 2, generator=generator), states)


@dataclass(frozen=True)
class Result:
    """All that a run leaves behind, but for times."""

    weights: dict[str, bytes]
    history: list[tuple[int, float, str, str, float]]
    best: tuple[int, dict[str, float]]
    steps: int
    stopped_early: bool
    tokens: int


@dataclass(frozen=True)
class Runs:
    """Runs of one model.

    Attributes:
        model: never changed.
        folder: of the artefact.
    """

    model: torch.nn.Module
    folder: Path

    def trainer(self, checkpoints: Checkpoints, *, method: str = "finetune", settings: Training = SHORT) -> Trainer:
        return Trainer(
            copy.deepcopy(self.model),  # type: ignore[arg-type]
            build_objective(METHODS[method], regression=False),
            rows=make_rows(64, seed=0),
            dev=make_rows(32, seed=1),
            metrics=["accuracy"],
            settings=settings,
            placement=Placement(precision="bf16" if settings.precision == "bf16" else "fp32"),
            seed=0,
            teacher=recorded_teacher() if method == "pkd" else None,
            checkpoints=checkpoints,
        )

    def undisturbed(self, **options: Any) -> Result:
        """The result of a run that keeps no state."""
        return result(self.trainer(checkpoint.NOWHERE, **options))

    def stop(self, *, after: int, **options: Any) -> None:
        """Save after every step, and stop after that of a given number."""
        trainer = self.trainer(self.checkpoints(stop=lambda: newest(self.folder) >= after), **options)
        with pytest.raises(Interrupted) as ended:
            trainer.run()
        assert ended.value.code == os.EX_TEMPFAIL
        assert newest(self.folder) == after

    def go_on(self, *, key: str = "mine", **options: Any) -> tuple[Result, int]:
        """The result of a run to the end, and the step that it went on after."""
        trainer = self.trainer(self.checkpoints(key=key), **options)
        return result(trainer), trainer.outcome.resumed_at

    def checkpoints(self, *, key: str = "mine", seconds: float = 0, stop: Callable[[], bool] = bool) -> Checkpoints:
        return Checkpoints(self.folder, key=key, seconds=seconds, stop=stop)


def result(trainer: Trainer) -> Result:
    outcome = trainer.run()
    weights = {name: value.numpy().tobytes() for name, value in trainer.model.state_dict().items()}
    best = outcome.best_step, outcome.best_dev
    return Result(weights, outcome.history.records, best, outcome.steps, outcome.stopped_early, outcome.tokens)


def states(folder: Path) -> list[Path]:
    return sorted((folder / STATE).glob("step-*.safetensors"))


def newest(folder: Path) -> int:
    """The step of the newest state; 0 if there is none."""
    return max((int(path.name.split("-")[1]) for path in states(folder)), default=0)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    return load_model(tiny_model, outputs=2)


@pytest.fixture
def runs(model: torch.nn.Module, tmp_path: Path) -> Runs:
    return Runs(model, tmp_path / "artefact")


@pytest.fixture(scope="module")
def undisturbed(model: torch.nn.Module) -> dict[str, Result]:
    """The result of each method."""
    return {method: Runs(model, Path("nowhere")).undisturbed(method=method) for method in METHODS}


# Stopped and started again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_a_stopped_run_goes_on_to_the_same_bits(
    runs: Runs, undisturbed: dict[str, Result], method: str, stop: int
) -> None:
    runs.stop(after=stop, method=method)
    assert runs.go_on(method=method) == (undisturbed[method], stop)


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_a_stopped_run_of_other_settings_does_too(runs: Runs, settings: Training) -> None:
    runs.stop(after=FIRST_EVALUATION + 1, settings=settings)
    assert runs.go_on(settings=settings) == (runs.undisturbed(settings=settings), FIRST_EVALUATION + 1)


def test_a_run_that_is_stopped_at_every_step_does_too(runs: Runs, undisturbed: dict[str, Result]) -> None:
    for step in range(1, STEPS):
        runs.stop(after=step)
    assert runs.go_on() == (undisturbed["finetune"], STEPS - 1)


def test_losses_since_the_last_record_count(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOSS_RECORDS", 2)
    runs.stop(after=7)
    whole = runs.undisturbed()
    assert len({record[0] for record in whole.history}) == STEPS / FIRST_EVALUATION, "a record every four steps"
    assert runs.go_on() == (whole, 7)


@pytest.mark.parametrize("stop", [5, 8, 12, 15])
def test_patience_counts_on(runs: Runs, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    def script() -> None:  # each evaluation happens once, in whichever run
        scores = iter([0.5, 0.6, 0.6, 0.55])
        monkeypatch.setattr(loop, "evaluate", lambda *_, **__: {"accuracy": next(scores)})

    settings = SHORT.model_copy(update={"patience": 2, "epochs": 3})
    script()
    whole = runs.undisturbed(settings=settings)
    assert (whole.stopped_early, whole.steps, whole.best) == (True, 16, (8, {"accuracy": 0.6}))
    script()
    runs.stop(after=stop, settings=settings)
    assert runs.go_on(settings=settings) == (whole, stop)


def test_a_request_to_stop_is_met_at_once_whenever_the_last_save_was(
    runs: Runs, undisturbed: dict[str, Result]
) -> None:
    asked = iter([False] * 6)
    trainer = runs.trainer(runs.checkpoints(seconds=3600, stop=lambda: next(asked, True)))
    with pytest.raises(Interrupted):
        trainer.run()
    assert newest(runs.folder) == 7
    assert runs.go_on() == (undisturbed["finetune"], 7)


def test_a_run_saves_no_more_often_than_it_should(runs: Runs) -> None:
    result(runs.trainer(runs.checkpoints(seconds=3600)))
    assert not (runs.folder / STATE).exists()


# States that cannot be trusted ----------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def rename(path: Path) -> None:
    path.rename(path.with_name("step-latest.safetensors"))


@pytest.mark.parametrize("damage", [truncate, change_a_byte, empty, rename])
def test_a_damaged_state_is_set_aside(
    runs: Runs,
    undisturbed: dict[str, Result],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    runs.stop(after=5)
    damage(states(runs.folder)[0])
    (damaged,) = states(runs.folder)
    assert runs.go_on() == (undisturbed["finetune"], 0)
    assert warnings(caplog, about=damaged)
    assert damaged.with_suffix(".unusable").exists()


def warnings(caplog: pytest.LogCaptureFixture, *, about: object) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [line for line in found if str(about) in line]


def test_a_state_of_another_recipe_is_set_aside(
    runs: Runs, undisturbed: dict[str, Result], caplog: pytest.LogCaptureFixture
) -> None:
    runs.stop(after=5)
    (other,) = states(runs.folder)
    assert runs.go_on(key="another") == (undisturbed["finetune"], 0)
    assert warnings(caplog, about=other)


def test_a_state_of_other_versions_is_set_aside(
    runs: Runs,
    undisturbed: dict[str, Result],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs.stop(after=5)
    (other,) = states(runs.folder)
    versions = checkpoint.package_versions()
    monkeypatch.setattr(checkpoint, "package_versions", lambda: {**versions, "torch": "99.0"})
    assert runs.go_on() == (undisturbed["finetune"], 0)
    assert warnings(caplog, about=other)


def litter(folder: Path) -> None:
    """What never was a state, though some of it has the name of one that is newer than all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = b"not tensors"
    (folder / f"step-000000015-{hashlib.sha256(text).hexdigest()[:16]}.safetensors").write_bytes(text)
    safetensors.torch.save_file({"weights": torch.zeros(3)}, folder / "tensors")
    digest = hashlib.sha256((folder / "tensors").read_bytes()).hexdigest()[:16]
    (folder / "tensors").rename(folder / f"step-000000014-{digest}.safetensors")
    (folder / "step-000000013-0123456789abcdef.safetensors").mkdir()
    (folder / "step-000000012-0123456789abcdef.safetensors").symlink_to("gone")
    (folder / "step-7.safetensors").write_bytes(b"")
    (folder / "step-000000003-0123456789abcdef.unusable").write_bytes(b"")
    (folder / "writing.tmp").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")


@pytest.mark.parametrize("before", [0, 5])
def test_junk_in_the_folder_does_no_harm(runs: Runs, undisturbed: dict[str, Result], before: int) -> None:
    if before:
        runs.stop(after=before)
    litter(runs.folder / STATE)
    assert runs.go_on() == (undisturbed["finetune"], before)
    assert [newest(runs.folder), len(states(runs.folder))] == [STEPS - 1, 1], "later states were saved nonetheless"


def test_a_damaged_state_that_cannot_be_moved_does_no_harm(
    runs: Runs, undisturbed: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    runs.stop(after=5)
    truncate(states(runs.folder)[0])
    monkeypatch.setattr(Path, "replace", refuse)
    assert runs.go_on() == (undisturbed["finetune"], 0)


# Saves that fail ------------------------------------------------------------------------------------------------------


def refuse(*_: object, **__: object) -> None:
    raise ENOSPC


def write_half(tensors: dict[str, torch.Tensor], path: Path, **_: object) -> None:
    Path(path).write_bytes(b"x" * 1000)
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("failing", [refuse, write_half])
@pytest.mark.parametrize("again", [STEPS, 9])
def test_a_save_that_fails_keeps_the_previous_state(
    runs: Runs,
    undisturbed: dict[str, Result],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    failing: Callable[..., None],
    again: int,
) -> None:
    save, calls = safetensors.torch.save_file, []

    def sometimes(*given: Any, **named: Any) -> None:
        calls.append(1)
        (failing if 6 <= len(calls) < again else save)(*given, **named)

    monkeypatch.setattr(safetensors.torch, "save_file", sometimes)
    assert runs.go_on() == (undisturbed["finetune"], 0)
    assert len(warnings(caplog, about=WARNING)) == again - 6
    left = STEPS - 1 if again < STEPS else 5
    assert [path.name for path in (runs.folder / STATE).iterdir()] == [states(runs.folder)[0].name]
    monkeypatch.undo()
    assert runs.go_on() == (undisturbed["finetune"], left)


def test_a_request_to_stop_is_met_when_the_save_fails(
    runs: Runs, undisturbed: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.stop(after=5)
    monkeypatch.setattr(safetensors.torch, "save_file", refuse)
    with pytest.raises(Interrupted):
        runs.trainer(runs.checkpoints(stop=lambda: True)).run()
    monkeypatch.undo()
    assert runs.go_on() == (undisturbed["finetune"], 5)


def test_a_full_disk_keeps_the_previous_state(
    model: torch.nn.Module,
    mounted: Callable[[str], Path],
    undisturbed: dict[str, Result],
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = Runs(model, mounted("size=1000k") / "artefact")  # a state grows at the first evaluation
    assert runs.go_on() == (undisturbed["finetune"], 0)
    assert len(warnings(caplog, about=WARNING)) == STEPS - FIRST_EVALUATION
    assert [path.name for path in (runs.folder / STATE).iterdir()] == [states(runs.folder)[0].name]
    assert runs.go_on() == (undisturbed["finetune"], FIRST_EVALUATION - 1)


def test_a_folder_that_cannot_be_made_keeps_no_state(runs: Runs, undisturbed: dict[str, Result]) -> None:
    runs.folder.mkdir()
    (runs.folder / STATE).write_text("in the way")
    assert runs.go_on() == (undisturbed["finetune"], 0)


# Which states there are -----------------------------------------------------------------------------------------------


def saved(step: int) -> Saved:
    return Saved(step, {"weights": torch.full((100,), float(step))}, {"seconds": 0.1 + step})


def same(first: Saved | None, second: Saved) -> bool:
    return (
        first is not None
        and (first.step, first.values) == (second.step, second.values)
        and first.tensors.keys() == second.tensors.keys()
        and all(torch.equal(first.tensors[name], value) for name, value in second.tensors.items())
    )


def test_only_the_newest_state_is_kept(runs: Runs) -> None:
    for step in (1, 2, 3):
        runs.checkpoints().save(saved(step))
        assert [path.name for path in (runs.folder / STATE).iterdir()] == [states(runs.folder)[0].name]
        assert same(runs.checkpoints().load(), saved(step))


@pytest.mark.parametrize("steps", [(9, 10), (99_999, 100_000)])
def test_of_two_states_the_newer_one_counts(runs: Runs, steps: tuple[int, int]) -> None:
    older, newer = steps
    runs.checkpoints().save(saved(older))
    (first,) = states(runs.folder)
    content = first.read_bytes()
    runs.checkpoints().save(saved(newer))
    first.write_bytes(content)  # as if killed between the appearance of the new one and the removal of the old one
    assert same(runs.checkpoints().load(), saved(newer))
    truncate(max(states(runs.folder)))
    assert same(runs.checkpoints().load(), saved(older))
    runs.checkpoints().save(saved(newer + 1))
    assert [newest(runs.folder), len(states(runs.folder))] == [newer + 1, 1]


def test_the_same_state_may_be_saved_twice(runs: Runs) -> None:
    for _ in range(2):
        runs.checkpoints().save(saved(4))
    assert same(runs.checkpoints().load(), saved(4))


def test_states_may_follow_each_other_within_a_tick_of_the_clock(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    save = safetensors.torch.save_file

    def within_one_tick(tensors: dict[str, torch.Tensor], path: Path, **named: Any) -> None:
        save(tensors, path, **named)
        os.utime(path, (1, 1))

    monkeypatch.setattr(safetensors.torch, "save_file", within_one_tick)
    for step in (1, 2):
        runs.checkpoints().save(saved(step))
    assert same(runs.checkpoints().load(), saved(2))


# The state and its artefact -------------------------------------------------------------------------------------------


@pytest.fixture
def artefact(tmp_path: Path) -> Callable[[bool], Path]:
    """Makes an artefact whose training saves a state, and then succeeds or is stopped."""
    out = tmp_path / "artefact"

    def make(succeeds: bool) -> Path:
        with writing(out, recipe={"stage": "finetune"}, labels={}) as folder:
            Checkpoints(out, key="mine", seconds=0, stop=lambda: not succeeds).save(saved(3))
            assert states(out)
            (folder / "a.txt").write_text("a")
        return out

    return make


def test_the_state_is_gone_when_the_artefact_is_there(artefact: Callable[[bool], Path]) -> None:
    assert {path.name for path in artefact(True).iterdir()} == {"a.txt", "run.json", ".lock"}


def test_the_state_stays_when_the_artefact_was_not_made(artefact: Callable[[bool], Path], tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        artefact(False)
    assert {path.name for path in (tmp_path / "artefact").iterdir()} == {STATE, ".lock"}
    loaded = Checkpoints(tmp_path / "artefact", key="mine", seconds=0, stop=bool).load()
    assert same(loaded, saved(3))
    assert STATE not in {path.name for path in artefact(True).iterdir()}
