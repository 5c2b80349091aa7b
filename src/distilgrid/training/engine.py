"""A model set up for training: the forward and backward pass of a batch, and the update of its weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.distillation.forward import forward
from distilgrid.distillation.objective import Objective
from distilgrid.distillation.teacher import TeacherOutputs
from distilgrid.errors import UserError
from distilgrid.fingerprint import derive_seed
from distilgrid.training.batching import Rows
from distilgrid.training.clock import Clock
from distilgrid.training.flat import FlatParameters
from distilgrid.training.fused_encoder import fuse, fusible, unfuse
from distilgrid.training.optimiser import Optimiser, parameter_groups
from distilgrid.training.placement import Placement
from distilgrid.training.randomness import DropoutMasks, restore_dropout, swap_dropout
from distilgrid.training.settings import Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PART_TOKENS = 1024  # a matrix product is no faster with more, and the memory of activations grows


class Engine:
    """Trains a model in place, one step at a time; `release` gives the model back as it came, with new weights.

    Args:
        model: in fp32, its word embeddings already cut to the words that occur.
        objective: the losses of a batch.
        settings: of training.
        placement: device, precision, and the processes that share a batch.
        seed: of dropout.
        steps: all updates of the run, for the schedule.
        teacher: outputs on the training rows for methods that need them.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        objective: Objective,
        *,
        settings: Training,
        placement: Placement,
        seed: int,
        steps: int,
        teacher: TeacherOutputs | None,
    ) -> None:
        self.model, self.objective, self.teacher = model.to(placement.device), objective, teacher
        self.settings, self.placement = settings, placement
        if teacher is not None:
            teacher.move(placement.device)
        self.seed = derive_seed(seed, "dropout") + placement.world.rank
        self.parts = settings.accumulation
        self.clock = Clock()
        on_cpu = placement.device.type == "cpu"
        if not on_cpu:
            model.set_attn_implementation("sdpa")  # eager attention is faster on CPUs only
        fused = on_cpu and settings.engine == "auto" and fusible(model)
        groups = parameter_groups(model, settings, layers=model.config.num_hidden_layers)
        compute = torch.bfloat16 if fused and placement.precision == "bf16" else torch.float32
        self.flat = FlatParameters(groups, compute=compute)
        self.optimiser = Optimiser(self.flat, settings, steps=steps)
        self.masks = DropoutMasks(self.seed)
        # GPUs draw dropout masks fast; and the plain engine is there to be compared with.
        self.dropouts = swap_dropout(model, self.masks) if on_cpu and settings.engine == "auto" else {}
        self.original = fuse(model, self.flat, self.masks) if fused else None
        self.tokens = 0

    def step(self, number: int, rows: Rows, batch: Sequence[int]) -> dict[str, float]:
        """One update from the rows of a batch; returns the means of the loss terms.

        Raises:
            UserError: when the loss is not finite.
        """
        self.masks.start_step(number)
        self._seed(derive_seed(self.seed, f"step {number}"))
        totals = self._accumulate(rows, batch)
        with self.clock("optimiser"):
            self.placement.world.sum(self.flat.grads)
            self.optimiser.step()
            self.flat.zero_grad()
        values = self.placement.world.sum_values(totals)
        if not np.isfinite(list(values.values())).all():
            raise UserError(f"the loss is not finite: {values}; lower training.learning_rate")
        return {"loss": sum(values.values()), **values}

    def _seed(self, seed: int) -> None:
        """Seed the generators of modules that draw their own numbers; `torch.manual_seed` takes milliseconds."""
        torch.default_generator.manual_seed(seed)
        if self.placement.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def release(self) -> None:
        """Undo all set-up; the model keeps its weights."""
        if self.original is not None:
            unfuse(self.model, self.original)
        restore_dropout(self.model, self.dropouts)
        self.flat.release()
        self.model.to("cpu")
        self.model.set_attn_implementation("eager")

    def _accumulate(self, rows: Rows, batch: Sequence[int]) -> dict[str, float]:
        """Collect the gradients of this process's share of a batch, in parts that fit into memory."""
        mine = self.placement.world.share(batch)
        while True:
            try:
                return self._parts(rows, mine, whole=len(batch))
            except torch.OutOfMemoryError:
                if self.parts >= len(mine):
                    raise
                self.parts *= 2  # the same mean over the batch, from smaller parts
                self.flat.grads.zero_()
                self.flat.fresh = True
                torch.cuda.empty_cache()

    def _parts(self, rows: Rows, mine: Sequence[int], *, whole: int) -> dict[str, float]:
        if not mine:
            self.flat.grads.zero_()
            return {}
        totals: dict[str, float] = {}
        for part in self._split(rows, mine):
            for name, value in self._backward(rows, part.tolist(), share=len(part) / whole).items():
                totals[name] = totals.get(name, 0.0) + value
            self.flat.fresh = False
        return totals

    def _split(self, rows: Rows, mine: Sequence[int]) -> list[np.ndarray]:
        """Rows that go through the model together: equal parts, and on a CPU about as large as fit its caches."""
        count = self.parts
        if self.placement.device.type == "cpu":
            tokens = len(mine) * int(rows.encodings.lengths[list(mine)].max())
            count = max(count, -(-tokens // PART_TOKENS))
        return np.array_split(np.asarray(mine), min(count, len(mine)))

    def _backward(self, rows: Rows, part: Sequence[int], *, share: float) -> dict[str, float]:
        with self.clock("data"):
            inputs, labels = rows.encodings.batch(part), rows.labels[part].to(self.placement.device)
            wanted = self.teacher.outputs(part).to(self.placement.device) if self.teacher is not None else None
            self.tokens += int(inputs["attention_mask"].sum())
        with self.clock("forward"):
            with self.placement.autocast():
                outputs = forward(self.model, inputs, states=self.objective.needs_states)
            terms = self.objective.losses(labels, outputs, wanted)
            loss: Tensor = torch.stack(list(terms.values())).sum()
        with self.clock("backward"):
            (loss if share == 1 else loss * share).backward()
            return {name: float(value.detach()) * share for name, value in terms.items()}
