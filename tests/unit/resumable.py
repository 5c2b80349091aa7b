"""Short training runs that can be stopped after any step and started again."""

import copy
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distilgrid.core.artefacts import STATE
from distilgrid.methods.annealing_kd.declare import AnnealingKD
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.pkd.declare import PKD
from distilgrid.tasks.batching import Encodings, Rows
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training import checkpoint
from distilgrid.training.checkpoint import Checkpoints, Interrupted
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training
from distilgrid.training.teacher import StoredTeacher, TeacherOutputs, TokenStates

METHODS: dict[str, BaseMethod] = {
    "finetune": Finetune(),
    "pkd": PKD(beta=10.0),
    "annealing-kd": AnnealingKD(tau_max=1, stage1={"epochs": 1}, stage2={"epochs": 1, "learning_rate": 1e-4}),
    "hidden-kd": HiddenKD(hidden={"epochs": 1}, task={"epochs": 1, "learning_rate": 1e-4}),
}
SHORT = Training(epochs=2, batch_size=8, learning_rate=1e-3, evaluations_per_epoch=2)
STEPS, FIRST_EVALUATION = 16, 4
STOPS = {
    "early": 1,
    "before an evaluation": 3,
    "after an evaluation": 4,
    "at the end of an epoch": 8,
    "between": 9,
    "last but one": STEPS - 1,
}
VARIANTS = {
    "accumulation": SHORT.model_copy(update={"accumulation": 3}),
    "layer decay": SHORT.model_copy(update={"layer_decay": 0.7, "weight_decay": 0.1}),
    "averaged weights": SHORT.model_copy(update={"average_decay": 0.9, "weight_decay": 0.1}),
    "token budget": SHORT.model_copy(update={"batch_tokens": 64}),
    "bf16": SHORT.model_copy(update={"precision": "bf16"}),
    "sgd": SHORT.model_copy(
        update={"optimiser": "sgd", "learning_rate": 0.1, "schedule": "steps", "max_grad_norm": None}
    ),
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
    logits = torch.randn(64, 2, generator=generator)
    lengths = torch.from_numpy(make_rows(64, seed=0).encodings.lengths)
    tokens = torch.randn(int(lengths.sum()), 4, 32, generator=generator).half()
    return StoredTeacher(logits, states, TokenStates.packed(tokens, lengths))


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
            METHODS[method].phases(settings, kind=LABEL),
            rows=make_rows(64, seed=0),
            dev=make_rows(32, seed=1),
            kind=LABEL,
            metrics=["accuracy"],
            placement=Placement(precision="bf16" if settings.precision == "bf16" else "fp32"),
            seed=0,
            teacher=recorded_teacher() if method != "finetune" else None,
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


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)
