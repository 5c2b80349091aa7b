"""Mixed samples as a model's inputs, and outputs of a teacher on them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.signals.asking import AskedTeacher, Asking, Manifest, answer
from distilgrid.signals.mixed.mixing import Mixtures, Schedule, make_schedule
from distilgrid.signals.mixed.plan import MixedSignal
from distilgrid.tasks.batching import Batch, Encodings, Inputs
from distilgrid.training.objective import Outputs
from distilgrid.training.teacher import StoredTeacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.signals.keeping import Keeping


class MixedTeacher(AskedTeacher):
    """A teacher that reads mixed samples in the batches of a recording, through its own embeddings."""

    signal: MixedSignal

    def __init__(self, signal: MixedSignal, asking: Asking) -> None:
        super().__init__(signal, asking)
        self.batch: Batch = []  # the last one that was answered
        self.said = torch.empty(0)  # the logits on that batch

    @cached_property
    def schedule(self) -> Schedule:
        """The mixed samples of the run."""
        if not self.rows.dataset.task_kind.tokenised:
            raise self.misfit("only texts are mixed")
        return make_schedule(self.rows.text_lengths, self.signal.mixup, self.signal.settled)

    @cached_property
    def batch_of(self) -> dict[int, Batch]:
        """The batch that a sample lies in."""
        return {sample: batch for batch in self.schedule.batches for sample in batch}

    def inputs(self, samples: Batch) -> Inputs:
        """Mixed embeddings."""
        encodings, mixtures = self.asking.samples, self.schedule.mixtures.take(samples)
        assert isinstance(encodings, Encodings), "texts have tokens"
        return mixed_inputs(self.model, encodings, mixtures, token_types=self.signal.mixup.token_types)

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs of samples of one batch, which goes through the teacher whole: parts would round differently."""
        batch = self.batch_of[samples[0]]
        if batch is not self.batch:
            self.batch, self.said = batch, answer(self.model, self.inputs(batch)).logits
            self.forwards += len(batch)
        place = {sample: number for number, sample in enumerate(batch)}
        return Outputs(self.said[[place[sample] for sample in samples]])

    def record(self, file: "Keeping") -> Manifest:
        """Logits (M, ...) on all mixed samples of a run, and the weights of the mixtures."""
        from distilgrid.signals.keeping import logits_slots

        mixtures, digest = self.schedule.mixtures, self.schedule.digest(self.rows.example_ids)
        logits = logits_slots(self.rows.dataset.task_kind, self.model, len(mixtures))
        weights = torch.from_numpy(mixtures.weight)
        file.fill({"logits": logits, "weights": weights}, self.schedule.batches, self.answers)
        manifest = {"kind": "mixed-logits", "data_key": self.rows.dataset.key, "schedule": digest}
        return {**manifest, "token_types": self.signal.mixup.token_types}

    def open(self, folders: Sequence[Path]) -> StoredTeacher:
        """Recorded outputs, addressed by sample; refuses those of other mixed samples."""
        tensors, manifest = self.checked(folders[0])
        if manifest["schedule"] != self.schedule.digest(self.rows.example_ids):
            raise UserError(
                f"{folders[0]}: recorded for other mixed samples; rows, epochs, batch size and mixup must be those of "
                "the student; record again"
            )
        recorded, wanted = manifest["token_types"], self.signal.mixup.token_types
        if recorded != wanted:
            said = f"recorded with mixup.token_types: {recorded}, but this student's is {wanted}"
            raise UserError(f"{folders[0]}: {said}; record again")
        return StoredTeacher(tensors["logits"].whole())


def mixed_inputs(model: "PreTrainedModel", encodings: Encodings, mixtures: Mixtures, *, token_types: str) -> Inputs:
    """Inputs of mixed samples through a model's own embedding table, for `forward`.

    Both rows are padded to the longer one. A position counts if a row with a weight above zero has a token there.
    Positions and layer norm are those of the model, as for any input.

    Args:
        model: the model whose word and token-type embeddings are mixed.
        encodings: rows, tokenised for the model.
        mixtures: samples.
        token_types: `mix`, or `keep` those of the first row.

    Returns:
        `inputs_embeds` (M, L, H), `attention_mask` (M, L) and, for models with segments, `token_type_ids` (M, L).
    """
    length = int(mixtures.lengths(encodings.lengths).max())
    first, second = (encodings.batch(rows.tolist(), length=length) for rows in (mixtures.first, mixtures.second))
    weight = torch.from_numpy(mixtures.weight)[:, None]  # (M, 1)
    there = (weight > 0) & (first["attention_mask"] > 0) | (weight < 1) & (second["attention_mask"] > 0)
    inputs = {
        "inputs_embeds": _mixed(model.get_input_embeddings(), first["input_ids"], second["input_ids"], weight),
        "attention_mask": there.long(),
    }
    if "token_type_ids" not in first:
        return inputs
    kinds = (first["token_type_ids"], second["token_type_ids"])
    if token_types == "mix" and any(bool(kind.any()) for kind in kinds):
        inputs["inputs_embeds"] = inputs["inputs_embeds"] + _mixed_types(model, *kinds, weight)
        kinds = (torch.zeros_like(kinds[0]), kinds[1])
    return inputs | {"token_type_ids": kinds[0]}


def _mixed(table: torch.nn.Module, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Mixed embeddings (M, L, H) of two ids (M, L)."""
    place = next(table.parameters()).device
    mixed: Tensor = torch.lerp(table(second.to(place)), table(first.to(place)), weight[:, :, None].to(place))
    return mixed


def _mixed_types(model: "PreTrainedModel", first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Mixed token-type embeddings (M, L, H), relative to type 0, which the model adds itself."""
    table = getattr(getattr(model.base_model, "embeddings", None), "token_type_embeddings", None)
    if table is None:
        kind = model.config.model_type
        raise UserError(f"mixkd: found no token-type embeddings in a '{kind}' model; set mixup.token_types: keep")
    return _mixed(table, first, second, weight) - table.weight[0]
