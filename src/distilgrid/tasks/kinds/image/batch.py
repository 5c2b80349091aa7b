"""Tensors of labelled images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distilgrid.tasks.batching import Samples, Tokenizer
from distilgrid.tasks.dataset import Dataset
from distilgrid.tasks.kinds.image.files import read_pixels
from distilgrid.tasks.kinds.image.views import Images
from distilgrid.tasks.kinds.label.batch import LabelledBatching
from distilgrid.tasks.tokens import RowsOnDisk


class ImageBatching(LabelledBatching):
    """Batching of pixels."""

    def samples(self, source: RowsOnDisk, split: str, *, tokenizer: Tokenizer, max_length: int) -> Images:
        """Pixels of prepared data."""
        assert isinstance(source, Dataset), "images are not augmented in files"
        return Images(read_pixels(source, split))

    def joined(self, parts: Sequence[Samples]) -> Images:
        """Concatenate images."""
        return Images(np.concatenate([part.pixels for part in parts if isinstance(part, Images)]))

    def given(self, rows: Any, *, tokenizer: Tokenizer, max_length: int, pair: bool) -> Images:
        """Wrap (N, H, W, C) uint8."""
        return Images(np.asarray(rows, dtype=np.uint8))


BATCHING = ImageBatching()
