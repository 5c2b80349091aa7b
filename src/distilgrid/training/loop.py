"""The one training loop: teachers, baselines and every distillation method go through it."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.distillation.forward import forward
from distilgrid.distillation.objective import Objective
from distilgrid.distillation.teacher import TeacherOutputs
from distilgrid.errors import UserError
from distilgrid.fingerprint import derive_seed
from distilgrid.progress import progress
from distilgrid.training.batching import Encodings, training_batches
from distilgrid.training.evaluation import evaluate
from distilgrid.training.history import History
from distilgrid.training.optimiser import build_optimiser
from distilgrid.training.precision import Precision, autocast
from distilgrid.training.settings import Training
from distilgrid.training.vocabulary import CompactVocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
LOSS_RECORDS = 50


@dataclass(frozen=True)
class Rows:
    """Tokenised rows with their labels: (N,) int64, or float32 for a regression."""

    encodings: Encodings
    labels: Tensor


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


class Trainer:
    """One training run: `run` trains a model in place and leaves it with the weights that scored best on `dev`.

    Args:
        model: in fp32; changed in place.
        objective: the losses of a batch.
        rows: training rows.
        dev: rows that select the checkpoint; never the rows that scores are reported on.
        metrics: the first one decides which checkpoint is best; ties keep the earlier one.
        settings: epochs, batch size, optimiser.
        precision: of the forward pass; weights and losses stay in fp32.
        seed: seed of shuffling and dropout.
        teacher: outputs on the training rows for methods that need them.
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
        precision: Precision,
        seed: int,
        teacher: TeacherOutputs | None,
    ) -> None:
        self.vocabulary = CompactVocabulary(model, [rows.encodings, dev.encodings])
        self.model, self.objective = model, objective
        self.rows, self.dev = (Rows(self.vocabulary.renumbered(r.encodings), r.labels) for r in (rows, dev))
        self.metrics, self.settings, self.precision, self.teacher = metrics, settings, precision, teacher
        self.steps_per_epoch = math.ceil(len(rows.encodings) / settings.batch_size)
        self.total = self.steps_per_epoch * settings.epochs
        self.optimiser, self.schedule = build_optimiser(model, settings, steps=self.total)
        self.shuffling = torch.Generator().manual_seed(derive_seed(seed, "shuffle"))
        self.dropout_seed = derive_seed(seed, "dropout")
        self.outcome = Outcome()
        self.best_state: dict[str, Tensor] = {}
        self.decay = self.best_decay = 1.0  # of embeddings that occur in no row
        self.worse = 0

    def run(self) -> Outcome:
        """All steps, or as many as patience allows.

        Raises:
            UserError: when the loss is not finite.
        """
        torch.manual_seed(self.dropout_seed)
        self.model.train()
        started = time.perf_counter()
        due = self._evaluation_steps()
        every = max(1, self.total // LOSS_RECORDS)
        terms: list[dict[str, float]] = []
        for step, batch in enumerate(progress(self._batches(), total=self.total, label="training"), start=1):
            terms.append(self._step(batch))
            if step % every == 0 or step in due:
                self._record_losses(step, terms)
                terms = []
            if step in due and self._evaluate(step):
                self.outcome.stopped_early = True
                break
        self.outcome.steps, self.outcome.epochs = step, step / self.steps_per_epoch
        self.outcome.seconds = time.perf_counter() - started
        self.model.load_state_dict(self.best_state)
        self.vocabulary.restore(decay=self.best_decay)
        self.model.eval()
        return self.outcome

    def _batches(self) -> Iterator[list[int]]:
        lengths = self.rows.encodings.lengths
        for _ in range(self.settings.epochs):
            yield from training_batches(lengths, batch_size=self.settings.batch_size, generator=self.shuffling)

    def _evaluation_steps(self) -> set[int]:
        count = self.settings.evaluations_per_epoch * self.settings.epochs
        return {max(1, round(self.total * i / count)) for i in range(1, count + 1)}

    def _step(self, batch: list[int]) -> dict[str, float]:
        inputs, labels = self.rows.encodings.batch(batch), self.rows.labels[batch]
        wanted = self.teacher.outputs(batch) if self.teacher is not None else None
        with autocast(self.precision):
            outputs = forward(self.model, inputs, states=self.objective.needs_states)
        terms = self.objective.losses(labels, outputs, wanted)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimiser.step()
        self.decay *= 1 - float(self.schedule.get_last_lr()[0]) * self.settings.weight_decay
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.outcome.tokens += int(inputs["attention_mask"].sum())
        values = {name: float(value.detach()) for name, value in terms.items()}
        if not np.isfinite(list(values.values())).all():
            raise UserError(f"the loss is not finite: {values}; lower training.learning_rate")
        return {"loss": float(loss.detach()), **values}

    def _record_losses(self, step: int, terms: list[dict[str, float]]) -> None:
        if not terms:
            return
        means = {name: float(np.mean([t[name] for t in terms])) for name in terms[0]}
        means["learning_rate"] = float(self.schedule.get_last_lr()[0])
        self.outcome.history.add(step=step, epoch=step / self.steps_per_epoch, split="train", values=means)

    def _evaluate(self, step: int) -> bool:
        """Score on dev, keep the best weights; returns whether patience has run out."""
        scores = evaluate(self.model, self.dev.encodings, self.dev.labels.numpy(), self.metrics)
        self.outcome.history.add(step=step, epoch=step / self.steps_per_epoch, split="dev", values=scores)
        log.info("step %d of %d: dev %s", step, self.total, ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        main = self.metrics[0]
        if not self.best_state or scores[main] > self.outcome.best_dev[main]:
            self.outcome.best_dev, self.outcome.best_step, self.worse = scores, step, 0
            self.best_decay = self.decay
            self.best_state = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        else:
            self.worse += 1
        return self.settings.patience is not None and self.worse >= self.settings.patience
