"""Small images, their encoded files, and the ids that they should get."""

import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=form, **options)
    return stream.getvalue()


def pictures(count: int, *shape: int, seed: int = 0) -> list[np.ndarray]:
    """Random images, all different: (H, W, 3), or (H, W) grey ones."""
    drawn = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return list(drawn)


def content_id(pixels: np.ndarray) -> int:
    return int.from_bytes(hashlib.sha256(pixels.tobytes()).digest()[:8], "big", signed=True)
