"""The one training loop: teachers, baselines and every distillation method go through it."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.distillation.objective import Objective, hard_loss
from distilgrid.distillation.teacher import TeacherOutputs
from distilgrid.fingerprint import derive_seed
from distilgrid.progress import progress
from distilgrid.training.averaging import WeightAverage
from distilgrid.training.batching import Batch, Rows, epoch_batches
from distilgrid.training.checkpoint import NOWHERE, Checkpoints, Saved
from distilgrid.training.engine import Engine
from distilgrid.training.evaluation import evaluate, predict
from distilgrid.training.history import History
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training
from distilgrid.training.streams import MixedStream, Mixing, RowStream, Stream
from distilgrid.training.tokens import subset
from distilgrid.training.tracing import tracing
from distilgrid.training.vocabulary import CompactVocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
LOSS_RECORDS = 50


@dataclass
class Outcome:
    """How a training run went. The model holds the weights of `best_step`."""

    history: History = field(default_factory=History)
    best_step: int = 0
    best_dev: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    epochs: float = 0.0
    stopped_early: bool = False
    seconds: float = 0.0
    tokens: int = 0
    resumed_at: int = 0
    time_split: dict[str, float] = field(default_factory=dict)
    probe_loss: float | None = None


class Trainer:
    """One training run: `run` trains a model in place and leaves it with the weights that scored best on `dev`.

    Args:
        model: in fp32; changed in place.
        objective: the losses of a batch.
        rows: training rows.
        dev: rows that select the checkpoint; never the rows that scores are reported on.
        metrics: the first one decides which checkpoint is best; ties keep the earlier one.
        settings: epochs, batch size, optimiser.
        placement: device, precision of the forward pass (weights and losses stay in fp32), processes.
        seed: seed of shuffling and dropout.
        teacher: outputs on the training rows for methods that need them.
        mixing: mixed samples, for methods that learn from them too.
        probe: training rows on which the finished model's loss is measured, without dropout.
        checkpoints: where the state of an unfinished run is kept; nowhere unless given.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        objective: Objective,
        *,
        rows: Rows,
        dev: Rows,
        metrics: Sequence[str],
        settings: Training,
        placement: Placement,
        seed: int,
        teacher: TeacherOutputs | None,
        mixing: Mixing | None = None,
        probe: Sequence[int] = (),
        checkpoints: Checkpoints = NOWHERE,
    ) -> None:
        self.vocabulary = CompactVocabulary(model, [rows.encodings, dev.encodings])
        self.model, self.metrics, self.settings, self.placement = model, metrics, settings, placement
        rows, self.dev = (Rows(self.vocabulary.renumbered(r.encodings), r.labels) for r in (rows, dev))
        self.probe = Rows(subset(rows.encodings, probe), rows.labels[list(probe)]) if probe else None
        streams: list[Stream] = [RowStream(rows, objective, teacher)]
        self.epochs = [[[batch] for batch in epoch] for epoch in _epochs(rows.encodings.lengths, settings, seed)]
        if mixing is not None:
            streams.append(MixedStream(rows, mixing))
            self.epochs = [
                [[*step, batch] for step, batch in zip(steps, batches, strict=True)]
                for steps, batches in zip(self.epochs, mixing.batches(seed), strict=True)
            ]
        self.total = sum(map(len, self.epochs))
        self.due = _evaluation_steps(settings, self.total)
        self.engine = Engine(model, streams, settings=settings, placement=placement, seed=seed, steps=self.total)
        self.checkpoints = checkpoints
        self.outcome = Outcome()
        self.terms: list[dict[str, float]] = []
        self.best_weights: Tensor | None = None
        self.decay = self.best_decay = 1.0  # of embeddings that occur in no row
        decay = settings.average_decay
        self.average = WeightAverage(self.engine.flat, decay=decay) if decay is not None else None
        self.worse = 0

    def run(self, *, trace: Path | None = None) -> Outcome:
        """All steps, or as many as patience allows, from the last saved state if there is one.

        Args:
            trace: file for a trace of some steps.

        Raises:
            UserError: when the loss is not finite.
        """
        self.model.train()
        step = done = self.outcome.resumed_at = self._resume()
        steps = islice((step for epoch in self.epochs for step in epoch), done, None)
        left = self.total - done
        with tracing(trace) as traced:
            for step, batches in enumerate(progress(steps, total=left, label="training"), start=done + 1):
                self._advance(step, batches)
                traced()
                if self.outcome.stopped_early:
                    break
                if self.placement.world.rank == 0 and self.checkpoints.due(step, last=step == self.total):
                    with self.engine.clock("checkpoint"):
                        self.checkpoints.save(self._state(step))
        self.outcome.steps, self.outcome.epochs = step, self._epoch(step)
        self.outcome.seconds += self.engine.clock.elapsed()
        return self._finish()

    def _advance(self, step: int, batches: Sequence[Batch]) -> None:
        rate = self.engine.optimiser.rate() * self.engine.flat.groups[-1].rate  # the last group is the deepest
        self.terms.append(self.engine.step(step, batches))
        self.decay *= 1 - rate * self.settings.weight_decay
        if self.average is not None:
            self.average.update(step, unseen=self.decay)
        if step % max(1, self.total // LOSS_RECORDS) == 0 or step in self.due:
            means = {name: float(np.mean([t[name] for t in self.terms])) for name in self.terms[0]}
            means["learning_rate"] = self.engine.optimiser.rate()
            self.outcome.history.add(step=step, epoch=self._epoch(step), split="train", values=means)
            self.terms = []
        if step in self.due:
            with self.engine.clock("evaluation"), self.average.in_place() if self.average else nullcontext():
                self._evaluate(step)

    def _evaluate(self, step: int) -> None:
        """Score on dev and keep the best weights; stops the run when patience has run out."""
        scores = evaluate(
            self.model, self.dev.encodings, self.dev.labels.numpy(), self.metrics, placement=self.placement
        )
        self.outcome.history.add(step=step, epoch=self._epoch(step), split="dev", values=scores)
        log.info("step %d of %d: dev %s", step, self.total, ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        main = self.metrics[0]
        if self.best_weights is None or scores[main] > self.outcome.best_dev[main]:
            self.outcome.best_dev, self.outcome.best_step, self.worse = scores, step, 0
            self.best_decay = self.average.unseen if self.average else self.decay
            if self.best_weights is None:
                self.best_weights = torch.empty_like(self.engine.flat.values)
            self.best_weights.copy_(self.engine.flat.values)
        else:
            self.worse += 1
        self.outcome.stopped_early = self.settings.patience is not None and self.worse >= self.settings.patience

    def _state(self, step: int) -> Saved:
        tensors = {"weights": self.engine.flat.values, **self.engine.optimiser.state()}
        if self.best_weights is not None:
            tensors["best_weights"] = self.best_weights
        if self.average is not None:
            tensors["average"] = self.average.values
        outcome = self.outcome
        values = {
            "decay": [self.decay, self.best_decay, self.average.unseen if self.average else None],
            "best": [outcome.best_step, outcome.best_dev],
            "worse": self.worse,
            "terms": self.terms,
            "history": outcome.history.records,
            "seconds": outcome.seconds + self.engine.clock.elapsed(),
            "tokens": outcome.tokens + self.engine.tokens,
        }
        return Saved(step=step, tensors=tensors, values=values)

    def _resume(self) -> int:
        """Take up a saved state; returns the steps that it has behind it."""
        saved = self.checkpoints.load()
        if saved is None:
            return 0
        tensors, values, outcome = saved.tensors, saved.values, self.outcome
        self.engine.flat.values.copy_(tensors["weights"])
        self.engine.optimiser.load_state(tensors, updates=saved.step)
        self.best_weights = tensors.get("best_weights")
        self.decay, self.best_decay, unseen = values["decay"]
        if self.average is not None:
            self.average.load(tensors["average"], unseen)
        outcome.best_step, outcome.best_dev = values["best"]
        self.worse, self.terms = values["worse"], values["terms"]
        outcome.history.records = [tuple(record) for record in values["history"]]
        outcome.seconds, outcome.tokens = values["seconds"], values["tokens"]
        return saved.step

    def _epoch(self, step: int) -> float:
        return step / self.total * self.settings.epochs

    def _finish(self) -> Outcome:
        assert self.best_weights is not None, "the last step is always scored"
        self.engine.flat.values.copy_(self.best_weights)
        if self.probe is not None:
            logits = torch.from_numpy(predict(self.model, self.probe.encodings, placement=self.placement))
            regression = logits.shape[1] == 1
            self.outcome.probe_loss = float(hard_loss(logits, self.probe.labels, regression=regression))
        self.engine.release()
        self.vocabulary.restore(decay=self.best_decay)
        self.model.eval()
        self.outcome.tokens += self.engine.tokens
        self.outcome.time_split = dict(self.engine.clock.seconds)
        return self.outcome


def _epochs(lengths: np.ndarray, settings: Training, seed: int) -> Iterable[list[Batch]]:
    """The batches of each epoch, from the seed and the epoch's number alone."""
    for epoch in range(settings.epochs):
        generator = torch.Generator().manual_seed(derive_seed(seed, f"shuffle epoch {epoch}"))
        yield epoch_batches(
            lengths,
            batch_size=settings.batch_size,
            generator=generator,
            tokens=settings.batch_tokens,
            bucketed=settings.batching == "bucketed",
        )


def _evaluation_steps(settings: Training, total: int) -> set[int]:
    count = settings.evaluations_per_epoch * settings.epochs
    return {max(1, round(total * i / count)) for i in range(1, count + 1)}
