"""A prepared data set on disk: `dataset.json` and one parquet file per split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distilgrid.core.artefacts import read_json, verified
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import canonical_json
from distilgrid.tasks.kinds.kind import TaskKind
from distilgrid.tasks.kinds.registry import find_kind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TEXT_COLUMNS = ("text_a", "text_b")
SEPARATOR = "\x1f"


@dataclass(frozen=True)
class ImageShape:
    """What all images of a data set share: size in pixels, channels (1 or 3), and what models scale them by.

    Attributes:
        height: rows of pixels.
        width: columns of pixels.
        channels: 1 for grey, 3 for red, green and blue.
        mean: of each channel, in 0..1.
        std: standard deviation of each channel, in 0..1.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Dataset:
    """A prepared data set.

    Attributes:
        folder: where its files lie.
        key: its recipe key.
        task: the task's name.
        labels: label names in order; empty for a regression.
        regression: whether labels are real numbers.
        metrics: metric names; the first is the main one.
        validation: names of the splits that scores are reported on; the first gives the main score.
        notes: what tables must say about the rows.
        splits: rows and label counts by split.
        kind: what is classified.
        image: of images, their shape; None for texts.
    """

    folder: Path
    key: str
    task: str
    labels: tuple[str, ...]
    regression: bool
    metrics: tuple[str, ...]
    validation: tuple[str, ...]
    notes: tuple[str, ...]
    splits: dict[str, Any]
    kind: Literal["text", "image"] = "text"
    image: ImageShape | None = None

    @property
    def task_kind(self) -> TaskKind:
        """What its rows are, and everything that depends on that."""
        return find_kind("number" if self.regression else "image" if self.image else "label")

    @property
    def outputs(self) -> int:
        """Width of a model's logits: the number of labels, or 1 for a regression."""
        return 1 if self.regression else len(self.labels)

    @cached_property
    def pair(self) -> bool:
        """Whether rows are sentence pairs."""
        return bool(self.splits["train"]["pair"])

    def split(self, name: str) -> "pd.DataFrame":
        """The rows of a split: `text_a`, `text_b` (pairs only), `label`, `example_id`; of images the last two.

        Raises:
            UserError: for an unknown split.
        """
        import pandas as pd

        columns = ["label", "example_id"] if self.kind == "image" else None
        return pd.read_parquet(self._file(name), columns=columns)

    def images(self, name: str) -> "np.ndarray":
        """The pixels of a split in the order of its rows: (N, H, W, C) uint8, on the memory of the file as read.

        Raises:
            UserError: for an unknown split, and for a data set of texts.
        """
        import numpy as np
        import pyarrow.parquet as pq

        if self.image is None:
            raise UserError(f"{self.folder}: holds the texts of '{self.task}', but images are wanted here")
        column = pq.read_table(self._file(name), columns=["pixels"])["pixels"].combine_chunks()
        shape = (len(column), self.image.height, self.image.width, self.image.channels)
        return np.frombuffer(column.buffers()[1], dtype=np.uint8).reshape(shape)

    def _file(self, name: str) -> Path:
        if name not in self.splits:
            raise UserError(f"{self.folder}: no split '{name}'; {did_you_mean(name, self.splits)}")
        return self.folder / f"{name}.parquet"


def open_dataset(folder: Path | str) -> Dataset:
    """A prepared data set, its files verified.

    Raises:
        UserError: when it is missing or damaged.
    """
    run = verified(folder, stage="prepare")
    stored = read_json(Path(folder) / "dataset.json")
    image = stored.get("image")
    return Dataset(
        folder=Path(folder),
        key=run["key"],
        task=stored["task"],
        labels=tuple(stored["labels"]),
        regression=stored["regression"],
        metrics=tuple(stored["metrics"]),
        validation=tuple(stored["validation"]),
        notes=tuple(stored["notes"]),
        splits=stored["splits"],
        kind=stored.get("kind", "text"),  # data of earlier versions are texts
        image=ImageShape(**image | {key: tuple(image[key]) for key in ("mean", "std")}) if image else None,
    )


def texts(frame: "pd.DataFrame") -> tuple[list[str], list[str] | None]:
    """The first texts and, for pairs, the second texts of a split's rows."""
    second = frame["text_b"].tolist() if "text_b" in frame.columns else None
    return frame["text_a"].tolist(), second


def example_ids(columns: Sequence[Sequence[str]]) -> list[int]:
    """One id per row: the first 8 bytes of the SHA-256 of its texts, as a signed integer.

    The id addresses a row by its content, so recorded teacher outputs never depend on row order.
    """
    return [content_id(_joined(row).encode()) for row in zip(*columns, strict=True)]


def _joined(row: Sequence[str]) -> str:
    """The texts of a row as one; texts that hold the separator themselves, so that no other row reads alike."""
    if len(row) > 1 and any(SEPARATOR in text for text in row):
        return canonical_json(row)
    return SEPARATOR.join(row)


def content_id(content: bytes) -> int:
    """The first 8 bytes of the SHA-256 of some bytes, as a signed integer."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big", signed=True)
