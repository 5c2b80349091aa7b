"""Training with only the word embeddings that occur: the same mathematics, less memory traffic.

A word that no row holds has a zero gradient, so AdamW only decays its embedding: by the product of
(1 - rate * decay) over all steps. That is applied once at the end. A task uses a part of a vocabulary of 30,000 words,
yet the whole table's dense gradient, moments and copies would be moved at every step.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from distilgrid.training.batching import Encodings

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class CompactVocabulary:
    """A model whose word embeddings are cut to the tokens of some rows, until `restore` is called."""

    def __init__(self, model: "PreTrainedModel", used: Sequence[Encodings]) -> None:
        self.model = model
        self.full = model.get_input_embeddings()
        assert isinstance(self.full, nn.Embedding)
        pad = max(encodings.pad_id for encodings in used)
        tokens = [row for encodings in used for row in encodings.input_ids]
        # Ids up to the padding's keep their numbers: RoBERTa derives positions from the padding id.
        self.kept = np.unique(np.concatenate([np.arange(pad + 1), *tokens]))
        self.numbers = np.full(self.full.num_embeddings, -1, dtype=np.int64)
        self.numbers[self.kept] = np.arange(len(self.kept))
        weight = self.full.weight.detach()[torch.from_numpy(self.kept)].clone()
        self.compact = nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=self.full.padding_idx)
        model.set_input_embeddings(self.compact)

    def renumbered(self, encodings: Encodings) -> Encodings:
        """Rows with token ids of the cut vocabulary."""
        return replace(encodings, input_ids=[self.numbers[row] for row in encodings.input_ids])

    def restore(self, *, decay: float) -> None:
        """Give the model its whole vocabulary back.

        Args:
            decay: what weight decay left of the rows that never occurred, as a factor.
        """
        with torch.no_grad():
            self.full.weight.mul_(decay)
            self.full.weight[torch.from_numpy(self.kept)] = self.compact.weight
        self.model.set_input_embeddings(self.full)
