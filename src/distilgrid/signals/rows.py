"""Outputs of a teacher on training rows."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.models.shapes import Sizes
from distilgrid.signals.asking import AskedTeacher, Manifest, positions_of
from distilgrid.signals.base import ROWS, RowSignal
from distilgrid.tasks.batching import Encodings
from distilgrid.training.objective import Outputs
from distilgrid.training.teacher import StoredTeacher, TokenStates

if TYPE_CHECKING:
    from distilgrid.signals.keeping import Keeping


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
        from distilgrid.signals.row_recording import computed

        samples = self.asking.samples
        self.forwards = len(samples)
        if isinstance(samples, Encodings) and self.signal.name == "hidden-states":
            self._same_tokens("--teacher-dir", samples.tokens, samples.lengths)
        return computed(self, samples)

    def record(self, file: "Keeping") -> Manifest:
        """Logits (fp32) and states (fp16) on the chosen rows, or on all augmented rows where there are any.

        Hidden states come with the tokens that they are of. Raises UserError for hidden states of images.
        """
        from distilgrid.signals.row_recording import record

        return record(self, file)

    def open(self, folders: Sequence[Path]) -> StoredTeacher:
        """Recorded outputs on prepared rows and on augmented ones, addressed by row."""
        wanted = self.signal.name
        parts = [self.checked(folder, *(ROWS if wanted == "logits" else ()))[0] for folder in folders]
        kept = {
            name: tensor.joined([part[name] for part in parts[1:]])
            for name, tensor in parts[0].items()
            if all(name in part for part in parts)
        }
        rows = positions_of(folders[0], kept["example_ids"].whole().numpy(), self.rows.example_ids)
        packed = None
        if wanted == "hidden-states":
            packed = TokenStates.packed(kept["token_states"], kept["lengths"].whole()).take(rows)
            tokens = kept["tokens"].whole()[packed.places(range(len(rows)))]
            self._same_tokens(str(folders[0]), tokens.numpy(), packed.lengths.numpy())
        states = kept["cls_states"].take(rows) if wanted == "cls-states" else None
        return StoredTeacher(kept["logits"].whole()[rows], states, packed)

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
