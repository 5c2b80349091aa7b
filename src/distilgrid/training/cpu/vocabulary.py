"""Training with only the word embeddings that occur: the same mathematics with less memory traffic.

A word outside the rows has a zero gradient, so AdamW only decays its embedding, by the product of (1 - rate * decay)
over all steps. That product is applied once at the end. A task uses a part of 30,000 words, while a dense step would
move the whole table's gradient, moments and copies.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from distilgrid.tasks.batching import Encodings, Samples

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class WholeVocabulary:
    """Null object for a model without words, or with another optimiser than AdamW."""

    def renumbered(self, samples: Samples) -> Samples:
        """The rows unchanged."""
        return samples

    def restore(self, *, decay: float) -> None:
        """Do nothing."""


class CompactVocabulary:
    """Cuts a model's word embeddings to the tokens of some rows until `restore`."""

    def __init__(self, model: "PreTrainedModel", used: Sequence[Encodings]) -> None:
        self.model = model
        self.full = model.get_input_embeddings()
        assert isinstance(self.full, nn.Embedding)
        pad = max(encodings.pad_id for encodings in used)
        # Ids up to the padding's keep their numbers: RoBERTa derives positions from the padding id.
        self.kept = np.unique(np.concatenate([np.arange(pad + 1), *(np.unique(e.tokens) for e in used)]))
        self.numbers = np.full(self.full.num_embeddings, -1, dtype=np.int32)
        self.numbers[self.kept] = np.arange(len(self.kept))
        table = self.full.weight.detach()
        weight, self.others = table[self._rows(used=True)], table[self._rows(used=False)]
        self.full.weight.data = torch.empty(0, table.shape[1])  # else it keeps the whole model file mapped
        self.compact = RowEmbedding.from_pretrained(weight, freeze=False, padding_idx=self.full.padding_idx)
        model.set_input_embeddings(self.compact)

    def renumbered(self, samples: Samples) -> Samples:
        """Rows with token ids of the cut vocabulary."""
        assert isinstance(samples, Encodings)
        return replace(samples, tokens=self.numbers[samples.tokens])

    def restore(self, *, decay: float) -> None:
        """Restore the whole vocabulary; `decay` is the factor that weight decay left of absent words."""
        whole = torch.empty(self.full.num_embeddings, self.full.embedding_dim)
        whole[self._rows(used=True)] = self.compact.weight.detach()
        whole[self._rows(used=False)] = self.others.mul_(decay)
        self.full.weight.data = whole
        self.model.set_input_embeddings(self.full)

    def _rows(self, *, used: bool) -> Tensor:
        """(V,) words that occur, or that are absent."""
        return torch.from_numpy((self.numbers >= 0) == used)


def cut_vocabulary(
    model: "PreTrainedModel", used: Sequence[Samples], *, optimisers: Collection[str]
) -> CompactVocabulary | WholeVocabulary:
    """Cut the vocabulary to the words of some rows, if that changes nothing under the optimisers of all phases."""
    texts = [samples for samples in used if isinstance(samples, Encodings)]
    return CompactVocabulary(model, texts) if texts and set(optimisers) == {"adamw"} else WholeVocabulary()


class RowEmbedding(nn.Embedding):
    """An embedding whose backward pass adds to the used rows of `weight.grad`, without a dense gradient."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - its name in nn.Embedding
        """Token ids (B, L) to embeddings (B, L, H)."""
        if self.weight.grad is None or not self.weight.requires_grad:
            return super().forward(input)
        found: Tensor = _Lookup.apply(self.weight, input, self.padding_idx)
        return found


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding: int | None) -> Tensor:
        ctx.weight, ctx.ids, ctx.padding = weight, ids, padding
        return weight.detach()[ids]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None]:
        table = ctx.weight.grad
        table.index_add_(0, ctx.ids.flatten(), grads[0].reshape(-1, table.shape[1]).to(table.dtype))
        if ctx.padding is not None:
            table[ctx.padding] = 0
        return None, None, None
