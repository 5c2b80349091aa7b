"""The engine of training: forward and backward pass of a batch, and update of the weights."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.core.loading import load
from distilgrid.tasks.batching import Batch
from distilgrid.training.objective import OpenHooks
from distilgrid.training.optimiser import Optimiser, parameter_groups
from distilgrid.training.outcome import Clock
from distilgrid.training.placement import Placement, exact_products
from distilgrid.training.predictor import forward
from distilgrid.training.settings import Training
from distilgrid.training.streams import Stream
from distilgrid.training.weights import FlatParameters

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PART_TOKENS = 1024  # more make matrix products no faster, and activations larger
ON_CPU = "distilgrid.training.cpu.acceleration:CpuAcceleration"


class Acceleration:
    """Faster computation of the same mathematics; the base class changes nothing.

    Attributes:
        compute: precision of the copy of the weights that matrix products read.
    """

    compute = torch.float32

    def attach(self, flat: FlatParameters) -> None:
        """Replace parts of the model, whose weights are flat by now."""

    def start_step(self, number: int) -> None:
        """Prepare a step."""

    def suspended(self) -> contextlib.AbstractContextManager[None]:
        """Compute with the original parts within the body."""
        return contextlib.nullcontext()

    def release(self) -> None:
        """Put the original parts back."""


class Engine:
    """Trains a model in place, one step at a time; `release` removes all set-up.

    The word embeddings of the fp32 model are cut to the words that occur. `settings` and `steps` are those of the first
    phase, and `hooks` work around its updates; `layered` tells whether any phase trains layers at different rates.

    Attributes:
        flat: trained weights.
        parameters: the same by name, whatever the acceleration replaces.
        buffers: other saved tensors of the model by name, such as batch norm's statistics.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        streams: Sequence[Stream],
        *,
        settings: Training,
        placement: Placement,
        seed: int,
        steps: int,
        hooks: OpenHooks = lambda parameters: (),
        layered: bool = False,
    ) -> None:
        self.model, self.streams = model.to(placement.device), streams
        self.placement = placement
        for stream in streams:
            if stream.teacher is not None:
                stream.teacher.move(placement.device)
        self.seed = derive_seed(seed, "dropout") + placement.world.rank
        self.clock = Clock()
        on_cpu = placement.device.type == "cpu"
        if not on_cpu:
            _set_attention(model, "sdpa")  # eager attention is faster on CPUs only
        self.acceleration = Acceleration()
        if on_cpu and settings.engine == "auto":  # the plain engine is there to be compared with
            self.acceleration = load(ON_CPU)(model, precision=placement.precision, seed=self.seed)
        groups = parameter_groups(model, layers=model.config.num_hidden_layers, layered=layered)
        self.flat = FlatParameters(groups, compute=self.acceleration.compute)
        self.parameters = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
        kept = model.state_dict(keep_vars=True)
        self.buffers = {name: tensor for name, tensor in kept.items() if not tensor.requires_grad}
        self.start_phase(settings, steps=steps, hooks=hooks)
        self.acceleration.attach(self.flat)
        self.tokens = 0

    def start_phase(self, settings: Training, *, steps: int, hooks: OpenHooks) -> None:
        """Start a phase of `steps` updates with a new optimiser and with hooks around each update."""
        self.settings, self.parts, self.hooks = settings, settings.accumulation, tuple(hooks(self.parameters))
        self.optimiser = Optimiser(self.flat, settings, steps=steps)

    def step(self, number: int, batches: Sequence[Batch]) -> dict[str, float]:
        """Update once from a batch of each stream; return mean loss terms. Raises UserError if one is not finite."""
        self.acceleration.start_step(number)
        seed = derive_seed(self.seed, f"step {number}")
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` takes milliseconds
        if self.placement.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        totals = self._accumulate(batches)
        with self.clock("optimiser"):
            self.placement.world.sum(self.flat.grads)
            self._update(number)
            self.flat.zero_grad()
        values = self.placement.world.sum_values(totals)
        if not np.isfinite(list(values.values())).all():
            raise UserError(f"the loss is not finite: {values}; lower training.learning_rate")
        return {"loss": sum(values.values()), **values}

    @contextlib.contextmanager
    def in_fp32(self) -> Iterator[Placement]:
        """Compute in fp32 within the body, with the placement that it gets."""
        with self.acceleration.suspended(), exact_products(self.placement.device):
            yield replace(self.placement, precision="fp32")

    def release(self) -> None:
        """Undo all set-up; the model keeps its weights."""
        self.acceleration.release()
        self.flat.release()
        self.model.to("cpu")
        _set_attention(self.model, "eager")

    def _update(self, number: int) -> None:
        for hook in self.hooks:
            hook.before(number)
        self.optimiser.step()
        for hook in self.hooks:
            hook.after(number)
        if self.hooks:
            self.flat.refresh()

    def _accumulate(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Collect the gradients of this process's share of the batches, in parts that fit into memory."""
        mine = [self.placement.world.share(batch) for batch in batches]
        while True:
            try:
                return self._parts(mine, [_weight(s, batch) for s, batch in zip(self.streams, batches, strict=True)])
            except torch.OutOfMemoryError:
                if self.parts >= max(map(len, mine)):
                    raise
                if any(stream.objective.needs_batch for stream in self.streams):
                    raise UserError("out of memory: the losses need whole batches; lower training.batch_size") from None
                self.parts *= 2  # the same means over the batches, from smaller parts
                self.flat.grads.zero_()
                self.flat.fresh = True
                torch.cuda.empty_cache()

    def _parts(self, mine: Sequence[Sequence[int]], whole: Sequence[int]) -> dict[str, float]:
        """Terms and gradients of these samples; each part counts by its share of the whole batch."""
        if not any(mine):
            self.flat.grads.zero_()
        totals: dict[str, float] = {}
        for stream, samples, weight in zip(self.streams, mine, whole, strict=True):
            for part in self._split(stream, samples) if samples else ():
                share = _weight(stream, part) / weight
                for name, value in self._backward(stream, part.tolist(), share=share).items():
                    totals[name] = totals.get(name, 0.0) + value
                self.flat.fresh = False
        return totals

    def _split(self, stream: Stream, samples: Sequence[int]) -> list[np.ndarray]:
        """Cut samples into equal parts for the model, on a CPU about as large as fit its caches."""
        if stream.objective.needs_batch:
            return [np.asarray(samples)]
        count = self.parts
        if self.placement.device.type == "cpu":
            tokens = len(samples) * int(stream.lengths(samples).max())
            count = max(count, -(-tokens // PART_TOKENS))
        return np.array_split(np.asarray(samples), min(count, len(samples)))

    def _backward(self, stream: Stream, part: Sequence[int], *, share: float) -> dict[str, float]:
        with self.clock("data"):
            inputs = stream.inputs(self.model, part)
            mask = inputs.get("attention_mask")
            self.tokens += len(part) if mask is None else int(mask.sum())
        with self.clock("forward"):
            with self.placement.autocast():
                needs = stream.objective
                outputs = forward(self.model, inputs, states=needs.needs_states, tokens=needs.needs_tokens)
                if stream.companion is not None:
                    outputs = stream.companion(outputs)
            terms = stream.losses(part, outputs)
            loss: Tensor = torch.stack(list(terms.values())).sum()
        with self.clock("backward"):
            (loss if share == 1 else loss * share).backward()
            return {name: float(value.detach()) * share for name, value in terms.items()}


def _weight(stream: Stream, samples: Sequence[int] | np.ndarray) -> int:
    """Weight of some samples: losses are means over rows, or over tokens."""
    return int(stream.lengths(list(samples)).sum()) if stream.objective.needs_tokens else len(samples)


def _set_attention(model: "PreTrainedModel", name: str) -> None:
    if hasattr(model.config, "num_attention_heads") or hasattr(model.config, "n_heads"):  # not in image models
        model.set_attn_implementation(name)
