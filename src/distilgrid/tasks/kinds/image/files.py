"""Stored images: their common shape and their pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

FIELD = "image"
"""Of `dataset.json`."""


@dataclass(frozen=True)
class ImageShape:
    """Size, channels and normalisation that all images of a data set share."""

    height: int  # size in pixels
    width: int
    channels: int  # 1 for grey, 3 for red, green and blue
    mean: tuple[float, ...]  # statistics of each channel, in 0..1
    std: tuple[float, ...]


def image_shape(dataset: Dataset) -> ImageShape:
    """The shape of a data set's images. Raises UserError for data of another kind."""
    found: Mapping[str, Any] | None = dataset.details.get(FIELD)
    if found is None:
        held = dataset.task_kind.words.rows
        raise UserError(f"{dataset.folder}: holds the {held} of '{dataset.task}', but images are wanted here")
    return ImageShape(**{**found, "mean": tuple(found["mean"]), "std": tuple(found["std"])})


def read_pixels(dataset: Dataset, split: str) -> np.ndarray:
    """The pixels of a split as (N, H, W, C) uint8 without a copy. Raises UserError for an unknown split or kind."""
    import pyarrow.parquet as pq

    shape = image_shape(dataset)
    column = pq.read_table(dataset.file(split), columns=["pixels"])["pixels"].combine_chunks()
    sizes = (len(column), shape.height, shape.width, shape.channels)
    return np.frombuffer(column.buffers()[1], dtype=np.uint8).reshape(sizes)


def write_images(frame: "pd.DataFrame", path: Path) -> None:
    """Write `pixels` (H*W*C bytes each, by row, column, channel), `label` and `example_id`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pixels = np.stack(frame["pixels"].tolist())  # (N, H, W, C)
    kind = pa.binary(pixels[0].size)
    column = pa.FixedSizeBinaryArray.from_buffers(kind, len(pixels), [None, pa.py_buffer(pixels)])
    table = pa.table(
        {"pixels": column, "label": frame["label"].to_numpy(), "example_id": frame["example_id"].to_numpy()}
    )
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
