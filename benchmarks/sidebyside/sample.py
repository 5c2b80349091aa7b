"""Tokenised rows in a file that every framework's process reads. Light: NumPy only."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """Tokenised rows with their labels, end to end.

    Attributes:
        tokens: (T,) ids of all rows, special tokens included, unpadded.
        segments: (T,) segment ids.
        offsets: (N + 1,) where each row starts, and where the last one ends.
        labels: (N,).
        words: ids that occur in the split that the rows are from.
        pad: (1,) the id of padding.
    """

    tokens: np.ndarray
    segments: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    words: np.ndarray
    pad: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, rows: int) -> "Sample":
        """The first rows, with only their own words."""
        end = self.offsets[rows]
        tokens, segments = self.tokens[:end], self.segments[:end]
        return Sample(tokens, segments, self.offsets[: rows + 1], self.labels[:rows], np.unique(tokens), self.pad)

    def features(self, *, pad_to: int | None = None) -> list[dict[str, Any]]:
        """Rows as the frameworks' data collators take them, padded to a length on request."""
        rows: list[dict[str, Any]] = []
        pad = int(self.pad[0])
        for start, end, label in zip(self.offsets[:-1], self.offsets[1:], self.labels, strict=True):
            fill = max(0, (pad_to or 0) - int(end - start))
            rows.append(
                {
                    "input_ids": self.tokens[start:end].tolist() + [pad] * fill,
                    "token_type_ids": self.segments[start:end].tolist() + [0] * fill,
                    "attention_mask": [1] * int(end - start) + [0] * fill,
                    "labels": int(label),
                }
            )
        return rows

    def write(self, path: Path) -> None:
        """Save as npz."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, path: str | Path) -> "Sample":
        """What `write` saved."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})
