"""Batches of small images as uint8, cut out and mirrored at random as is usual for CIFAR (He et al. 2015, section 4.2).

Whole batches at once in NumPy: no Python for a single image. Pixels stay uint8; the models normalise them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

PADDING = 4


def augmented(
    images: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    *,
    offsets: np.ndarray,
    flips: np.ndarray,
    padding: int = PADDING,
) -> Tensor:
    """Images padded with zeros on all sides, cut to their own size at some offset, some of them mirrored.

    Args:
        images: (N, H, W, C) uint8; may be mapped from a file.
        rows: (B,) which images, in order.
        offsets: (B, 2) first row and first column of each cut in the padded image, 0 to 2 * padding; an offset of
            `padding` cuts nothing off.
        flips: (B,) bool, which to mirror left to right after the cut.
        padding: pixels of zeros on each side.

    Returns:
        (B, C, H, W) uint8, channels last in memory.
    """
    height, width, channels = images.shape[1:]
    padded = np.zeros((len(rows), height + 2 * padding, width + 2 * padding, channels), dtype=np.uint8)
    padded[:, padding : padding + height, padding : padding + width] = images[np.asarray(rows)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))  # (B, 2p+1, 2p+1, C, H, W)
    cuts = windows.transpose(0, 1, 2, 4, 5, 3)[np.arange(len(rows)), offsets[:, 0], offsets[:, 1]]  # (B, H, W, C)
    mirrored = np.flatnonzero(flips)
    # torch mirrors rows of pixels; NumPy would copy each pixel's few bytes on their own, five times as slowly.
    cuts[mirrored] = torch.flip(channels_last(cuts[mirrored]), (3,)).permute(0, 2, 3, 1).numpy()
    return channels_last(cuts)


def plain(images: np.ndarray, rows: Sequence[int] | np.ndarray) -> Tensor:
    """Images as they are: (B, C, H, W) uint8, channels last in memory."""
    return channels_last(images[np.asarray(rows)])


def channels_last(images: np.ndarray) -> Tensor:
    """(B, H, W, C) to the same memory as (B, C, H, W)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)
