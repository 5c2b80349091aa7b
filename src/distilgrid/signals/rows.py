"""Outputs of a teacher on training rows."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.progress import progress
from distilgrid.signals.asking import LABEL, AskedTeacher, Recording, allocated, answer, positions_of
from distilgrid.signals.base import ROWS, RowSignal
from distilgrid.tasks.batching import Encodings, Samples, evaluation_batches
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Outputs, Sizes
from distilgrid.training.teacher import StoredTeacher, TokenStates

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RowTeacher(AskedTeacher):
    """A teacher that reads all training rows at once, through its own tokeniser: rows are the same in each epoch."""

    signal: RowSignal

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of the token states, before any is computed."""
        config = self.model.config
        return Sizes(config.num_hidden_layers, config.hidden_size) if self.signal.name == "hidden-states" else None

    def outputs(self, samples: Sequence[int]) -> Outputs:
        """Outputs of some rows; those of all rows are computed on first use."""
        return self._stored.outputs(samples)

    @cached_property
    def _stored(self) -> StoredTeacher:
        encodings = self.asking.samples
        self.forwards = len(encodings)
        if self.signal.name == "hidden-states":
            assert isinstance(encodings, Encodings), "hidden states are those of tokens"
            self._same_tokens("--teacher-dir", encodings.tokens, encodings.lengths)
        outputs = self._answers(encodings)
        kept = outputs.token_states
        tokens = None if kept is None else TokenStates.packed(kept, torch.from_numpy(encodings.lengths))
        return StoredTeacher(outputs.logits, outputs.cls_states, tokens)

    def record(self) -> Recording:
        """Logits (fp32) and states (fp16) on the chosen rows, or on all augmented rows where there are any.

        Hidden states come with the tokens that they are of. Raises UserError for hidden states of images.
        """
        kind, dataset, augmented = self.signal.name, self.rows.dataset, self.rows.augmented
        if kind == "hidden-states" and not dataset.task_kind.tokenised:
            raise self.misfit("take logits")
        if augmented is None:
            ids, samples = self.rows.example_ids, self.asking.samples
        else:
            ids = augmented.split("train")["example_id"].to_numpy()
            tokenizer, longest = self.asking.tokenizer, self.asking.max_length
            samples = dataset.task_kind.batch().samples(augmented, "train", tokenizer=tokenizer, max_length=longest)
        outputs = self._answers(samples)
        tensors = {"example_ids": torch.from_numpy(ids.copy()), "logits": outputs.logits}
        if outputs.cls_states is not None:
            tensors["cls_states"] = outputs.cls_states
        if outputs.token_states is not None:
            assert isinstance(samples, Encodings), "hidden states are those of tokens"
            tokens, lengths = (torch.from_numpy(part.copy()) for part in (samples.tokens, samples.lengths))
            tensors |= {"token_states": outputs.token_states, "tokens": tokens, "lengths": lengths}
        return tensors, {"kind": kind, "data_key": (augmented or dataset).key}

    def _answers(self, samples: Samples) -> Outputs:
        wanted = {"states": self.signal.name == "cls-states", "tokens": self.signal.name == "hidden-states"}
        return teacher_outputs(self.model, samples, kind=self.rows.dataset.task_kind, **wanted)

    def open(self, folders: Sequence[Path]) -> StoredTeacher:
        """Recorded outputs on prepared rows and on augmented ones, addressed by row."""
        wanted = self.signal.name
        parts = [self.checked(folder, *(ROWS if wanted == "logits" else ()))[0] for folder in folders]
        rows = positions_of(folders[0], _joined(parts, "example_ids").numpy(), self.rows.example_ids)
        kept = _joined(parts, "cls_states")[rows] if wanted == "cls-states" else None
        packed = None
        if wanted == "hidden-states":
            packed = TokenStates.packed(_joined(parts, "token_states"), _joined(parts, "lengths")).take(rows)
            tokens = _joined(parts, "tokens")[packed.places(range(len(rows)))]
            self._same_tokens(str(folders[0]), tokens.numpy(), packed.lengths.numpy())
        return StoredTeacher(_joined(parts, "logits")[rows], kept, packed)

    def _same_tokens(self, origin: str, tokens: np.ndarray, lengths: np.ndarray) -> None:
        """Refuse tokens (T,) of the teacher, `lengths` (N,) of them for each row, that are not the student's."""
        if self.asking.reader is None:
            return
        own = self.rows.encodings(self.asking.reader, max_length=self.asking.reader_length)
        row = _first_difference(tokens, lengths, own)
        if row is not None:
            counts = f"{lengths[row]} tokens as the teacher reads it and {own.lengths[row]} as the student does"
            raise UserError(
                f"{origin}: training row {row + 1} has {counts}, which are not the same; both need the same tokeniser "
                "and training.max_length"
            )


def _first_difference(tokens: np.ndarray, lengths: np.ndarray, other: Encodings) -> int | None:
    """The first row whose tokens differ; None where all are equal."""
    counts = np.flatnonzero(lengths != other.lengths)
    same = int(counts[0]) if len(counts) else len(lengths)  # rows before it are equally long
    end = int(other.offsets[same])
    places = np.flatnonzero(tokens[:end] != other.tokens[:end])
    if len(places):
        return int(np.searchsorted(other.offsets, places[0], side="right")) - 1
    return same if len(counts) else None


def _joined(parts: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    tensors = [part[name] for part in parts]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)  # states are large: no copy without need


def teacher_outputs(
    model: "PreTrainedModel", encodings: Samples, *, kind: TaskKind, states: bool = False, tokens: bool = False
) -> Outputs:
    """Outputs of a teacher on all rows, computed in fp32 in the batches of an evaluation and kept on the CPU.

    Logits (N, ...) are fp32; [CLS] states (N, layers, H) and token states (T, layers, H) are fp16.
    """
    config, logits = model.config, allocated(kind, len(encodings), model)
    shape = (config.num_hidden_layers, config.hidden_size)
    kept = torch.empty((len(encodings), *shape), dtype=torch.float16) if states else None
    lengths = torch.from_numpy(encodings.lengths) if tokens else torch.empty(0, dtype=torch.int64)
    packed = TokenStates.packed(torch.empty((int(lengths.sum()), *shape), dtype=torch.float16), lengths)
    batches = evaluation_batches(encodings.lengths)
    for rows in progress(batches, total=len(batches), label=LABEL):
        outputs = answer(model, encodings.batch(rows), states=states, tokens=tokens)
        logits[rows] = outputs.logits.cpu()
        if kept is not None and outputs.cls_states is not None:
            kept[rows] = outputs.cls_states.half().cpu()
        if outputs.token_states is not None:
            packed.values[packed.places(rows)] = outputs.token_states.half().cpu()
    return Outputs(logits, kept, packed.values if tokens else None)
