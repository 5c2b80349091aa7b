"""Images as models read them, and the random views of them that a model is trained on.

Views are cut out and mirrored as is usual for CIFAR (He et al. 2015, section 4.2), a whole batch at once in NumPy.
Pixels stay uint8; the models normalise them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distilgrid.core.fingerprint import derive_seed
from distilgrid.tasks.batching import Inputs, Samples, Tokenizer, ViewedSamples
from distilgrid.tasks.dataset import Dataset, RowsOnDisk
from distilgrid.tasks.kinds.image.rows import ImageShape, image_shape, read_pixels
from distilgrid.tasks.kinds.label.tensors import LabelledBatching
from distilgrid.tasks.settings import Views


@dataclass(frozen=True)
class Images:
    """The images of one split: `pixels` (N, H, W, C), uint8."""

    pixels: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """1 for each image."""
        return np.ones(len(self.pixels), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, rows: Sequence[int]) -> Inputs:
        """`pixel_values` (B, C, H, W), uint8, channels last in memory."""
        return {"pixel_values": _channels_last(self.pixels[np.asarray(rows)])}

    def take(self, rows: Sequence[int]) -> "Images":
        """Some images, in the given order."""
        return Images(self.pixels[np.asarray(rows, dtype=np.int64)])

    def joined(self, others: Sequence[Samples]) -> "Images":
        """These images, then others."""
        return Images(np.concatenate([self.pixels, *(part.pixels for part in others if isinstance(part, Images))]))


class ViewedImages(ViewedSamples):
    """A view of each image for each epoch. Example ids (N,) decide them: a subset keeps the views of the whole set."""

    def __init__(self, images: Images, views: Views, ids: np.ndarray) -> None:
        self.images, self.views, self.ids = images, views, ids
        self._drawn: tuple[int, np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, samples: Sequence[int]) -> np.ndarray:
        """(B,) image numbers of samples."""
        rows: np.ndarray = np.asarray(samples) % len(self.images)
        return rows

    def batch(self, samples: Sequence[int]) -> Inputs:
        """Inputs of samples of one epoch."""
        rows = self.rows(samples)
        if not self.views.drawn:
            return self.images.batch(rows.tolist())
        offsets, flips = self._draws(samples[0] // len(self.images))
        drawn = {"offsets": offsets[rows], "flips": flips[rows], "padding": self.views.shift}
        return {"pixel_values": augmented(self.images.pixels, rows, **drawn)}

    def _draws(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Offsets (N, 2) into the bordered images of an epoch, and flips (N,)."""
        if self._drawn is None or self._drawn[0] != epoch:
            seed = derive_seed(self.views.seed, f"views epoch {epoch}")
            self._drawn = (epoch, *draw_views(self.ids, self.views, seed=seed))
        return self._drawn[1], self._drawn[2]


def draw_views(ids: np.ndarray, views: Views, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw offsets (N, 2) from 0 to twice the largest shift, and flips (N,), from ids and seed only."""
    bits = _hashed(ids.astype(np.uint64), seed)
    places = 2 * views.shift + 1
    down, across = bits % np.uint64(places), (bits >> np.uint64(20)) % np.uint64(places)
    flips = ((bits >> np.uint64(40)) & np.uint64(1)).astype(bool) & views.flip
    return np.stack([down, across], axis=1).astype(np.int64), flips


def _hashed(values: np.ndarray, seed: int) -> np.ndarray:
    """Well-mixed 64-bit numbers (SplitMix64: Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        mixed = values + np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def augmented(
    images: np.ndarray, rows: Sequence[int] | np.ndarray, *, offsets: np.ndarray, flips: np.ndarray, padding: int
) -> Tensor:
    """Pad images with zeros, cut them to their original size at an offset, and mirror some of them left to right.

    Args:
        images: (N, H, W, C) uint8; may be mapped from a file. The result is (B, C, H, W), channels last in memory.
        rows: (B,) image numbers.
        offsets: (B, 2) first row and column of each cut, 0 to 2 * padding; `padding` keeps the whole image.
        flips: (B,) bool, whether to mirror after the cut.
        padding: pixels of zeros on each side.
    """
    height, width, channels = images.shape[1:]
    padded = np.zeros((len(rows), height + 2 * padding, width + 2 * padding, channels), dtype=np.uint8)
    padded[:, padding : padding + height, padding : padding + width] = images[np.asarray(rows)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))  # (B, 2p+1, 2p+1, C, H, W)
    cuts = windows.transpose(0, 1, 2, 4, 5, 3)[np.arange(len(rows)), offsets[:, 0], offsets[:, 1]]  # (B, H, W, C)
    mirrored = np.flatnonzero(flips)
    # torch mirrors rows of pixels; NumPy would copy each pixel's few bytes on their own, five times as slowly.
    cuts[mirrored] = torch.flip(_channels_last(cuts[mirrored]), (3,)).permute(0, 2, 3, 1).numpy()
    return _channels_last(cuts)


def _channels_last(images: np.ndarray) -> Tensor:
    """View (B, H, W, C) as (B, C, H, W) on the same memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


class ImageBatching(LabelledBatching):
    """Batching of pixels."""

    def samples(self, source: RowsOnDisk, split: str, *, tokenizer: Tokenizer, max_length: int) -> Images:
        """Pixels of prepared data."""
        assert isinstance(source, Dataset), "images are not augmented in files"
        return Images(read_pixels(source, split))

    def given(self, rows: Any, *, tokenizer: Tokenizer, max_length: int, pair: bool) -> Images:
        """Wrap (N, H, W, C) uint8."""
        return Images(np.asarray(rows, dtype=np.uint8))

    def viewed(self, samples: Samples, views: Views, ids: np.ndarray) -> ViewedImages:
        """Shifted and mirrored images."""
        assert isinstance(samples, Images)
        return ViewedImages(samples, views, ids)

    def shape(self, dataset: Dataset) -> ImageShape:
        """Size, channels and normalisation."""
        return image_shape(dataset)


BATCH = ImageBatching()
