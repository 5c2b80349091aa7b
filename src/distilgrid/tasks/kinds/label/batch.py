"""Texts with one label as tensors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from distilgrid.tasks.batching import Encodings, Samples, encode
from distilgrid.tasks.kind_parts import Batching
from distilgrid.tasks.tokens import Source, joined, tokenised

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase


class TextBatching(Batching):
    """How texts are read, whatever they are labelled with."""

    def samples(
        self, source: Source, split: str, *, tokenizer: "PreTrainedTokenizerBase | None", max_length: int
    ) -> Encodings:
        """Tokens, made once and kept beside the rows."""
        assert tokenizer is not None, "models of texts have a tokeniser"
        return tokenised(source, split, tokenizer=tokenizer, max_length=max_length)

    def joined(self, parts: Sequence[Samples]) -> Encodings:
        """The tokens of several."""
        return joined([part for part in parts if isinstance(part, Encodings)])

    def given(
        self, rows: Any, *, tokenizer: "PreTrainedTokenizerBase | None", max_length: int, pair: bool
    ) -> Encodings:
        """From a frame with `text`, and `text_pair` for pairs."""
        assert tokenizer is not None, "models of texts have a tokeniser"
        second = rows["text_pair"].tolist() if pair else None
        return encode(tokenizer, rows["text"].tolist(), second, max_length=max_length)


class LabelledBatching(Batching):
    """How label numbers are read, whatever they stand at."""

    def labels(self, frame: "pd.DataFrame") -> Tensor:
        """(N,) int64."""
        return torch.from_numpy(frame["label"].to_numpy().copy()).long()

    def softened(self, labels: Tensor, added: "pd.DataFrame", *, outputs: int) -> Tensor:
        """(N, C) probabilities."""
        certain = F.one_hot(labels, outputs).float()
        given = [torch.tensor(values) for values in added["probabilities"]]
        return torch.cat([certain, torch.stack(given).float()]) if given else certain

    def relabelled(self, frame: "pd.DataFrame", outputs: Tensor) -> "pd.DataFrame":
        """With the column `probabilities`; a row without an origin takes the likeliest label."""
        named = frame["label"].where(frame["parents"].map(len) > 0, outputs.argmax(dim=-1).numpy())
        return frame.assign(label=named, probabilities=torch.softmax(outputs, dim=-1).tolist())


class LabelBatching(TextBatching, LabelledBatching):
    """Both."""


BATCHING = LabelBatching()
