"""The training loop of teachers, baselines and all distillation methods."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.core.loading import late
from distilgrid.core.progress import progress
from distilgrid.tasks.batching import Batch, Rows
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.checkpoint import NOWHERE, Checkpoints, Saved
from distilgrid.training.engine import Engine
from distilgrid.training.objective import Phase, joined_companion, remove_companion
from distilgrid.training.outcome import Outcome
from distilgrid.training.placement import Placement
from distilgrid.training.predictor import Predictor, evaluate, predict
from distilgrid.training.steps import Stretch, plan_steps
from distilgrid.training.streams import Extra, OpenMain, RowStream, Stream
from distilgrid.training.teacher import TeacherOutputs
from distilgrid.training.weights import Best

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.training.average import WeightAverage

log = logging.getLogger(__name__)
cut_vocabulary = late("distilgrid.training.cpu.vocabulary:cut_vocabulary")
tracing = late("distilgrid.training.efficiency:tracing")
weight_average = late("distilgrid.training.average:WeightAverage")
LOSS_RECORDS = 50


class Trainer:
    """One training run. `run` trains a model in place and leaves it with the weights that scored best on `dev`.

    Where all rows of `dev` have one label, they tell no weights from others: the last ones of each phase are kept.

    Args:
        model: fp32 model, changed in place.
        phases: losses, epochs, batch size and optimiser of each part of the run.
        rows: training rows.
        dev: rows that select the checkpoint; never the rows that scores are reported on.
        kind: kind of the task.
        metrics: metric names; the first selects the checkpoint, and ties keep the earlier one.
        placement: device, precision of the forward pass (weights and losses stay in fp32), processes.
        seed: seed of shuffling and dropout.
        teacher: outputs on the training rows, or on views of them, for methods that need them.
        main: opens the stream of the training rows; images, which change with each epoch, have a separate one.
        extras: streams of additional samples for each step.
        probe: training rows whose loss is compared with that on `dev`, for the finished model without dropout.
        watched: rows that `watch_validation` scores along the way; they select nothing.
        checkpoints: storage of the state of an unfinished run; none by default.
        predictor: how the model answers when it is scored.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        phases: Sequence[Phase],
        *,
        rows: Rows,
        dev: Rows,
        kind: TaskKind,
        metrics: Sequence[str],
        placement: Placement,
        seed: int,
        teacher: TeacherOutputs | None,
        main: OpenMain = RowStream,
        extras: Sequence[Extra] = (),
        probe: Sequence[int] = (),
        watched: Rows | None = None,
        checkpoints: Checkpoints = NOWHERE,
        predictor: Predictor = predict,
    ) -> None:
        settings = phases[0].settings
        read = [part.encodings for part in (rows, dev, watched) if part is not None]
        self.vocabulary = cut_vocabulary(model, read, optimisers={phase.settings.optimiser for phase in phases})
        self.model, self.kind, self.metrics, self.placement = model, kind, metrics, placement
        self.predictor = predictor
        rows, self.dev = self._renumbered(rows), self._renumbered(dev)
        self.selects = len(torch.unique(dev.labels, dim=0)) > 1
        if not self.selects:
            log.warning("all rows of dev have one label, so they select no weights: the last ones are kept")
        self.watched = None if watched is None else self._renumbered(watched)
        self.probe = Rows(rows.encodings.take(probe), rows.labels[list(probe)]) if probe else None
        losses, self.teacher = phases[0].objective(0.0), teacher
        self.companion = joined_companion(model, phases, teacher, seed=seed)
        self.rows = main(rows, losses, teacher, self.companion)
        streams: list[Stream] = [self.rows, *(extra.stream(rows) for extra in extras)]
        added = [extra.batches(seed) for extra in extras]
        lengths = rows.encodings.lengths
        self.stretches = plan_steps(phases, lengths, seed=seed, added=added, per_epoch=self.rows.per_epoch)
        self.stretch = self.stretches[0]
        self.total = self.stretches[-1].end
        self.engine = Engine(
            model,
            streams,
            settings=settings,
            placement=placement,
            seed=seed,
            steps=len(self.stretch),
            hooks=phases[0].hooks,
            layered=any(phase.settings.layer_decay < 1 for phase in phases),
        )
        self.checkpoints = checkpoints
        self.outcome = Outcome()
        self.terms: list[dict[str, float]] = []
        metric = kind.metrics[metrics[0]]
        self.best = Best(self.engine.flat, self.engine.buffers, metric, patience=settings.patience)
        self.decay = 1.0  # of embeddings that occur in no row
        self.average = self._new_average()

    def run(self, *, trace: Path | None = None) -> Outcome:
        """Train all steps that patience allows, from the last saved state if there is one.

        `trace` is a file for a trace of some steps. Raises UserError for a loss that is not finite.
        """
        self.model.train()
        done = self.outcome.resumed_at = self._resume()
        left = self.total - done
        with tracing(trace) as traced:
            for step, batches in progress(self._ahead(done), total=left, label="training"):
                self._advance(step, batches)
                traced()
                if self.placement.world.rank == 0 and self.checkpoints.due(step, last=step == self.total):
                    with self.engine.clock("checkpoint"):
                        self.checkpoints.save(self._state(step))
        self.outcome.seconds += self.engine.clock.elapsed()
        return self._finish()

    def _ahead(self, done: int) -> Iterator[tuple[int, list[Batch]]]:
        """The remaining steps by number. A phase starts when it is reached and ends early when patience does."""
        for stretch in self.stretches:
            if done >= stretch.end:
                continue
            if stretch is not self.stretch:
                self._start(stretch)
            for step in range(max(done, stretch.start), stretch.end):
                if self.best.given_up:
                    self.outcome.stopped_early = True
                    break
                yield step + 1, stretch.batches(step + 1)

    def _start(self, stretch: Stretch) -> None:
        """Start a phase with the best weights of the previous one."""
        self.best.restore()
        self.decay = self.best.decay
        self.outcome.phases.append(self.best.record(self.stretch.phase.name))
        self.best.forget(patience=stretch.phase.settings.patience)
        self.outcome.before, self.outcome.watched = self.outcome.epochs, None
        self.stretch = stretch
        self._start_engine()
        self.average = self._new_average()

    def _start_engine(self) -> None:
        phase = self.stretch.phase
        self.engine.start_phase(phase.settings, steps=len(self.stretch), hooks=phase.hooks)

    def _advance(self, step: int, batches: Sequence[Batch]) -> None:
        phase, moment = self.stretch.phase, self.stretch.moment(step)
        self.rows.objective = phase.objective(moment)
        self.rows.teacher = self.teacher if phase.taught else None
        left = self.engine.optimiser.unseen_decay()
        self.terms.append(self.engine.step(step, batches))
        self.outcome.steps, self.outcome.epochs = self.outcome.steps + 1, self.outcome.before + self.stretch.epoch(step)
        self.decay *= left
        if self.average is not None:
            self.average.update(step - self.stretch.start, unseen=self.decay)
        due = step in self.stretch.due
        if step % max(1, self.total // LOSS_RECORDS) == 0 or due:
            names = dict.fromkeys(name for terms in self.terms for name in terms)
            means = {name: float(np.mean([t[name] for t in self.terms if name in t])) for name in names}
            means |= {"learning_rate": self.engine.optimiser.rate(), **phase.values(moment)}
            self.outcome.history.add(step=step, epoch=self.outcome.epochs, split="train", values=means)
            self.terms = []
        if due:
            with self.engine.clock("evaluation"), self.average.in_place() if self.average else nullcontext():
                self._evaluate(step)

    def _evaluate(self, step: int) -> None:
        """Score on dev and keep the best weights."""
        scores = self._scores(self.dev, self.placement)
        self.outcome.history.add(step=step, epoch=self.outcome.epochs, split="dev", values=scores)
        log.info("step %d of %d: dev %s", step, self.total, ", ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        decay, phase = self.average.unseen if self.average else self.decay, self.stretch.phase
        patient = self.stretch.moment(step) >= phase.patient_from
        always = not (phase.selects and self.selects)
        self.best.offer(step, scores, decay=decay, always=always, patient=patient)
        if self.watched is not None:
            with self.engine.in_fp32() as placement:  # as the finished model's score is
                seen = self._scores(self.watched, placement)
            self.outcome.history.add(step=step, epoch=self.outcome.epochs, split="validation", values=seen)
            self.outcome.watched = self.best.metric.best(seen[self.metrics[0]], self.outcome.watched)

    def _scores(self, rows: Rows, placement: Placement) -> dict[str, float]:
        return evaluate(
            self.model,
            rows.encodings,
            rows.labels.numpy(),
            self.metrics,
            kind=self.kind,
            placement=placement,
            predictor=self.predictor,
        )

    def _loss(self, rows: Rows) -> float:
        made = self.predictor(self.model, rows.encodings, kind=self.kind, placement=self.placement)
        return float(self.kind.losses().hard(torch.from_numpy(made), rows.labels))

    def _renumbered(self, rows: Rows) -> Rows:
        return Rows(self.vocabulary.renumbered(rows.encodings), rows.labels)

    def _new_average(self) -> "WeightAverage | None":
        decay = self.stretch.phase.settings.average_decay
        return None if decay is None else weight_average(self.engine.flat, decay=decay, unseen=self.decay)

    def _state(self, step: int) -> Saved:
        tensors = {"weights": self.engine.flat.values, **self.engine.optimiser.state(), **self.best.tensors()}
        tensors |= {f"buffers.{name}": buffer for name, buffer in self.engine.buffers.items()}
        for number, hook in enumerate(self.engine.hooks):
            tensors |= {f"hook-{number}.{name}": tensor for name, tensor in hook.tensors().items()}
        if self.average is not None:
            tensors["average"] = self.average.values
        seconds = self.outcome.seconds + self.engine.clock.elapsed()
        totals = {"seconds": seconds, "tokens": self.outcome.tokens + self.engine.tokens}
        values = {"best": self.best.values(), "terms": self.terms, "outcome": self.outcome.values() | totals}
        values["decay"] = [self.decay, self.average.unseen if self.average else None]
        return Saved(step=step, tensors=tensors, values=values)

    def _resume(self) -> int:
        """Restore a saved state and return its step."""
        saved = self.checkpoints.load()
        if saved is None:
            return 0
        tensors, values = saved.tensors, saved.values
        self.stretch = next(part for part in self.stretches if saved.step <= part.end)
        if self.stretch is not self.stretches[0]:
            self._start_engine()
        self.engine.flat.values.copy_(tensors["weights"])
        for name, buffer in self.engine.buffers.items():
            buffer.copy_(tensors[f"buffers.{name}"])
        self.engine.optimiser.load_state(tensors, updates=saved.step - self.stretch.start)
        self.best.load(tensors, values["best"], patience=self.stretch.phase.settings.patience)
        for number, hook in enumerate(self.engine.hooks):
            names = [name for name in tensors if name.startswith(f"hook-{number}.")]
            hook.load({name.partition(".")[2]: tensors[name] for name in names})
        self.average = self._new_average()
        self.decay, unseen = values["decay"]
        if self.average is not None:
            self.average.load(tensors["average"], unseen)
        self.terms = values["terms"]
        self.outcome.load(values["outcome"])
        return saved.step

    def _last_losses(self) -> dict[str, float]:
        """Mean of each loss term over the last epoch of the last phase that has it."""
        losses: dict[str, float] = {}
        for stretch in self.stretches:
            done = self.outcome.history.last_step("train", within=(stretch.start, stretch.end))
            if done is not None:
                losses |= self.outcome.history.means("train", within=(stretch.epoch_start(done), done))
        return losses

    def _finish(self) -> Outcome:
        self.best.restore()
        self.outcome.best_step, self.outcome.best_dev = self.best.step, self.best.scores
        if self.outcome.phases:
            self.outcome.phases.append(self.best.record(self.stretch.phase.name))
        if self.probe is not None:
            self.outcome.probe_loss, self.outcome.dev_loss = self._loss(self.probe), self._loss(self.dev)
        self.outcome.last_losses = self._last_losses()
        self.engine.release()
        if self.companion is not None:
            remove_companion(self.model)
        self.vocabulary.restore(decay=self.best.decay)
        self.model.eval()
        self.outcome.tokens += self.engine.tokens
        self.outcome.time_split = dict(self.engine.clock.seconds)
        return self.outcome
