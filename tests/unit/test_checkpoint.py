"""Training that was stopped goes on to the same bits; a state that cannot be trusted or saved does no harm."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError
from tests.unit.resumable import (
    ENOSPC,
    FIRST_EVALUATION,
    METHODS,
    SHORT,
    STEPS,
    STOPS,
    VARIANTS,
    WARNING,
    Result,
    Runs,
    newest,
    result,
    states,
    truncate,
)

from distilgrid.core.artefacts import STATE
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.training import checkpoint, loop
from distilgrid.training.checkpoint import Interrupted
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    return load_model(tiny_model, outputs=2, auto=CLASSIFIER)


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
