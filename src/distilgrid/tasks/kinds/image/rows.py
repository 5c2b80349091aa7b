"""Images as rows: decoded (8 bits per channel, all of one size, all grey or all in colour), checked, and stored."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import Dataset, content_id
from distilgrid.tasks.kinds.label.rows import LabelRows, row_of

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from distilgrid.tasks.spec import TaskSpec

FIELD = "image"
"""Of `dataset.json`."""
CHUNK = 1024  # images whose channels are counted at a time
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none whose decoder starts another program
GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


@dataclass(frozen=True)
class ImageShape:
    """Size, channels and normalisation that all images of a data set share."""

    height: int  # size in pixels
    width: int
    channels: int  # 1 for grey, 3 for red, green and blue
    mean: tuple[float, ...]  # statistics of each channel, in 0..1
    std: tuple[float, ...]


def image_shape(dataset: Dataset) -> ImageShape:
    """The shape of the images of a data set."""
    found = dataset.details[FIELD]
    return ImageShape(**{**found, "mean": tuple(found["mean"]), "std": tuple(found["std"])})


def read_pixels(dataset: Dataset, split: str) -> np.ndarray:
    """The pixels of a split as (N, H, W, C) uint8 without a copy. Raises UserError for an unknown split."""
    import pyarrow.parquet as pq

    shape = image_shape(dataset)
    column = pq.read_table(dataset.file(split), columns=["pixels"])["pixels"].combine_chunks()
    sizes = (len(column), shape.height, shape.width, shape.channels)
    return np.frombuffer(column.buffers()[1], dtype=np.uint8).reshape(sizes)


class ImageRows(LabelRows):
    """Images with label numbers."""

    columns: list[str] | None = ["label", "example_id"]  # noqa: RUF012

    def check(
        self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec", labels: list[str], origins: Mapping[str, str]
    ) -> "dict[str, pd.DataFrame]":
        """Check all splits and return `pixels` (uint8 arrays (H, W, C) of one shape), `label` and `example_id`.

        Raises UserError for a missing column, an empty split, a label outside the set, a label without a training row,
        or an image that is unreadable or of another size.
        """
        codes = {
            split: self.checked_codes(frame, [spec.image], spec, labels, origins[split])
            for split, frame in splits.items()
        }
        absent = sorted(set(range(len(labels))) - set(codes["train"].tolist()))
        if absent:
            raise UserError(
                f"{origins['train']}: holds {len(labels) - len(absent)} of the task's {len(labels)} labels, none of "
                f"'{labels[absent[0]]}'; correct the task's labels or add rows"
            )
        pixels = decode({origins[split]: frame[spec.image] for split, frame in splits.items()}, size=spec.image_size)
        return {split: _frame(pixels[origins[split]], codes[split]) for split in splits}

    def describe(self, splits: "Mapping[str, pd.DataFrame]", spec: "TaskSpec") -> dict[str, Any]:
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
        """Write `pixels` (H*W*C bytes each, by row, column, channel), `label`, `example_id` and perhaps `id`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        pixels = np.stack(frame["pixels"].tolist())  # (N, H, W, C)
        stored = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(pixels[0].size), len(pixels), [None, pa.py_buffer(pixels)]
        )
        others = {name: frame[name].to_numpy() for name in ("label", "example_id", "id") if name in frame.columns}
        table = pa.table({"pixels": stored, **others})
        pq.write_table(table, path, compression="zstd", use_dictionary=False)

    def example(self, dataset: Dataset, split: str, count: int) -> np.ndarray:
        """(N, H, W, C) uint8."""
        return read_pixels(dataset, split)[:count].copy()


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


def decode(columns: "Mapping[str, pd.Series[Any]]", *, size: int | None) -> dict[str, list[np.ndarray]]:
    """Decode columns of images, by the name of their file, to uint8 arrays of one shape: (H, W, 1) or (H, W, 3).

    An image is a file's bytes, a mapping with the key `bytes`, or a uint8 array (H, W, C). Transparency is dropped. One
    image in colour turns all into colour. All are resized (bicubic) to a square of `size` pixels; None requires equal
    sizes. Raises UserError for an unreadable image, more than 8 bits per channel, or unequal sizes.
    """
    decoded: dict[str, list[np.ndarray]] = {}
    first: tuple[int, ...] | None = None
    for origin, column in columns.items():
        decoded[origin] = images = []
        for place, content in enumerate(column):
            row = row_of(column, place)
            pixels = _pixels(content, size, f"{origin}: row {row}")
            first = first or pixels.shape[:2]
            if pixels.shape[:2] != first:
                raise UserError(
                    f"{origin}: row {row}: an image of {_shown(pixels.shape)} pixels, but the first one has "
                    f"{_shown(first)}; set the task's image_size to resize all"
                )
            images.append(pixels)
    if {pixels.shape[2] for images in decoded.values() for pixels in images} != {1, 3}:
        return decoded
    return {origin: [_in_colour(pixels) for pixels in images] for origin, images in decoded.items()}


def _pixels(content: object, size: int | None, place: str) -> np.ndarray:
    if isinstance(content, np.ndarray) and size is None and content.ndim == 3:
        return content
    try:
        with _opened(content, place) as image:
            return _converted(image, size)
    except UserError:
        raise
    except Exception as error:  # decoders raise many types; the user needs one line
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{place}: image cannot be read ({reason}); replace or remove it") from None


def _opened(content: object, place: str) -> "Image":
    from PIL import Image

    if isinstance(content, np.ndarray) and content.ndim == 3:
        return Image.fromarray(content[:, :, 0] if content.shape[2] == 1 else content)
    if isinstance(content, Mapping):
        content = content.get("bytes")
    if content is None or isinstance(content, float):  # pandas marks a missing value by not-a-number
        raise UserError(f"{place}: holds no image bytes; fill or remove it (a path alone is not followed)")
    if not isinstance(content, bytes):
        wanted = "the bytes of an encoded image, or a struct with the field 'bytes'"
        raise UserError(f"{place}: holds {type(content).__name__}, not {wanted}")
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.mode not in GREY | COLOUR:
        raise UserError(f"{place}: image of mode {image.mode}; convert it to 8 bits per channel")
    return image


def _converted(image: "Image", size: int | None) -> np.ndarray:
    from PIL.Image import Resampling

    image = image.convert("L" if image.mode in GREY else "RGB")
    if size is not None and image.size != (size, size):
        image = image.resize((size, size), Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def _in_colour(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _shown(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


ROWS = ImageRows()
