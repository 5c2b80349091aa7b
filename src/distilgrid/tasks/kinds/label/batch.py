"""Tensors of labelled texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.batching import Encodings, Samples, Tokenizer, encode
from distilgrid.tasks.kind_parts import Batching
from distilgrid.tasks.tokens import RowsOnDisk, tokenised

if TYPE_CHECKING:
    import pandas as pd


class TextBatching(Batching):
    """Batching of texts with any sort of label."""

    def samples(self, source: RowsOnDisk, split: str, *, tokenizer: Tokenizer, max_length: int) -> Encodings:
        """Tokens of a split, cached next to its rows."""
        assert tokenizer is not None, "models of texts have a tokeniser"
        return tokenised(source, split, tokenizer=tokenizer, max_length=max_length)

    def joined(self, parts: Sequence[Samples]) -> Encodings:
        """Concatenate tokens."""
        return Encodings.joined([part for part in parts if isinstance(part, Encodings)])

    def given(self, rows: Any, *, tokenizer: Tokenizer, max_length: int, pair: bool) -> Encodings:
        """Tokenise a frame with `text`, and `text_pair` for pairs."""
        assert tokenizer is not None, "models of texts have a tokeniser"
        second = rows["text_pair"].tolist() if pair else None
        return encode(tokenizer, rows["text"].tolist(), second, max_length=max_length)


class LabelledBatching(Batching):
    """Batching of label numbers for any sort of input."""

    def labels(self, frame: "pd.DataFrame") -> Tensor:
        """Label numbers (N,), int64."""
        return torch.from_numpy(frame["label"].to_numpy().copy()).long()

    def softened(self, labels: Tensor, added: "pd.DataFrame", *, outputs: int) -> Tensor:
        """Probabilities (N, C)."""
        certain = F.one_hot(labels, outputs).float()
        given = [torch.tensor(values) for values in added["probabilities"]]
        return torch.cat([certain, torch.stack(given).float()]) if given else certain

    def relabelled(self, frame: "pd.DataFrame", outputs: Tensor) -> "pd.DataFrame":
        """Add the column `probabilities`; a row without an origin takes the likeliest label."""
        named = frame["label"].where(frame["parents"].map(len) > 0, outputs.argmax(dim=-1).numpy())
        return frame.assign(label=named, probabilities=torch.softmax(outputs, dim=-1).tolist())


class LabelBatching(TextBatching, LabelledBatching):
    """Batching of labelled texts."""


BATCHING = LabelBatching()
