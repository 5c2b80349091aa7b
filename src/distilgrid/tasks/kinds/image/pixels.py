"""Decoded images: 8 bits per channel, all of one size, all grey or all in colour."""

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none whose decoder starts another program
GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


def decode(columns: Mapping[str, Iterable[object]], *, size: int | None) -> dict[str, list[np.ndarray]]:
    """Decode several columns of images to one shape.

    An image is a file's bytes, a mapping with the key `bytes`, or a uint8 array (H, W, C). Transparency is dropped. One
    image in colour turns all into colour. Raises UserError for an unreadable image, more than 8 bits per channel, or
    unequal sizes.

    Args:
        columns: images by the name of their file in messages.
        size: side in pixels of the square to resize to (bicubic); None requires equal sizes.

    Returns:
        uint8 arrays (H, W, 1) or (H, W, 3), under the keys of `columns`.
    """
    decoded: dict[str, list[np.ndarray]] = {}
    first: tuple[int, ...] | None = None
    for origin, column in columns.items():
        decoded[origin] = images = []
        for row, content in enumerate(column, start=1):
            pixels = _pixels(content, size, f"{origin}: row {row}")
            first = first or pixels.shape[:2]
            if pixels.shape[:2] != first:
                raise UserError(
                    f"{origin}: row {row}: an image of {_shown(pixels.shape)} pixels, but the first one has "
                    f"{_shown(first)}; set the task's image_size to resize all"
                )
            images.append(pixels)
    return _alike(decoded)


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


def _alike(decoded: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Give grey images among coloured ones three equal channels."""
    found = {pixels.shape[2] for images in decoded.values() for pixels in images}
    if found != {1, 3}:
        return decoded
    return {
        origin: [np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels for pixels in images]
        for origin, images in decoded.items()
    }


def _shown(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
