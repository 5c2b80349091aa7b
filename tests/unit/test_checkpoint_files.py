"""Which files keep the state of an unfinished training run, and for how long."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.unit.resumable import Runs, newest, states, truncate

from distilgrid.core.artefacts import STATE, writing
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.training.checkpoint import Checkpoints, Interrupted, Saved


@pytest.fixture
def runs(tiny_model: Path, tmp_path: Path) -> Runs:
    return Runs(load_model(tiny_model, outputs=2, auto=CLASSIFIER), tmp_path / "artefact")


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
