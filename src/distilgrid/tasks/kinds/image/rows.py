"""Checked rows of images: pixels, labels, ids, and channel statistics."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import content_id
from distilgrid.tasks.kinds.image.files import FIELD, ImageShape, read_pixels, write_images
from distilgrid.tasks.kinds.image.pixels import decode
from distilgrid.tasks.kinds.label.rows import LabelRows
from distilgrid.tasks.rows import check_columns, check_filled
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.dataset import Dataset

CHUNK = 1024  # images whose channels are counted at a time


class ImageRows(LabelRows):
    """Images with label numbers."""

    columns: list[str] | None = ["label", "example_id"]  # noqa: RUF012

    def check(
        self, splits: "Mapping[str, pd.DataFrame]", spec: TaskSpec, labels: list[str], origins: Mapping[str, str]
    ) -> "dict[str, pd.DataFrame]":
        """Check all splits and return `pixels` (uint8 arrays (H, W, C) of one shape), `label` and `example_id`.

        Raises UserError for a missing column, an empty split, a label outside the set, a label without a training row,
        or an image that is unreadable or of another size.
        """
        codes = {split: self._labels(frame, spec, labels, origins[split]) for split, frame in splits.items()}
        absent = sorted(set(range(len(labels))) - set(codes["train"].tolist()))
        if absent:
            raise UserError(
                f"{origins['train']}: holds {len(labels) - len(absent)} of the task's {len(labels)} labels, none of "
                f"'{labels[absent[0]]}'; correct the task's labels or add rows"
            )
        pixels = decode({origins[split]: frame[spec.image] for split, frame in splits.items()}, size=spec.image_size)
        return {split: _frame(pixels[origins[split]], codes[split]) for split in splits}

    def describe(self, splits: "Mapping[str, pd.DataFrame]", spec: TaskSpec) -> dict[str, Any]:
        """Shape and channel statistics: the task's own, or those of the training rows. Raises UserError if unusable."""
        pixels = splits["train"]["pixels"]
        height, width, channels = pixels.iloc[0].shape
        if spec.mean is None or spec.std is None:
            mean, std = channel_statistics(np.stack(pixels.tolist()))
        else:
            mean, std = tuple(spec.mean), tuple(spec.std)
        if len(mean) != channels:
            raise UserError(f"{spec.source}: mean and std are for {len(mean)} channels, its images have {channels}")
        if not all(std):
            raise UserError(f"{spec.source}: channel {std.index(0) + 1} never varies; set the task's mean and std")
        return {FIELD: asdict(ImageShape(height, width, channels, mean, std))}

    def write(self, frame: "pd.DataFrame", path: Path) -> None:
        """Write a parquet file with pixels as bytes."""
        write_images(frame, path)

    def example(self, dataset: "Dataset", split: str, count: int) -> np.ndarray:
        """(N, H, W, C) uint8."""
        return read_pixels(dataset, split)[:count].copy()

    def _labels(self, frame: "pd.DataFrame", spec: TaskSpec, labels: list[str], origin: str) -> np.ndarray:
        check_columns(frame, [spec.image, spec.label], origin)
        check_filled(frame[spec.label], origin)
        return self.codes(frame, spec, labels, origin)


def channel_statistics(pixels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of (N, H, W, C), in 0..1. Exact counts make them equal everywhere."""
    counts = np.zeros((pixels.shape[3], 256), dtype=np.int64)
    for start in range(0, len(pixels), CHUNK):
        for channel, found in enumerate(counts):
            found += np.bincount(pixels[start : start + CHUNK, :, :, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(axis=1)  # (C,)
    variance = (counts * (values - mean[:, np.newaxis]) ** 2).sum(axis=1) / counts.sum(axis=1)
    return tuple(mean.round(6).tolist()), tuple(np.sqrt(variance).round(6).tolist())


def _frame(pixels: list[np.ndarray], codes: np.ndarray) -> "pd.DataFrame":
    import pandas as pd

    ids = np.array([content_id(image.tobytes()) for image in pixels], dtype=np.int64)
    return pd.DataFrame({"pixels": pd.Series(pixels, dtype=object), "label": codes, "example_id": ids})


ROWS = ImageRows()
