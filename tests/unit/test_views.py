"""Views of images: what an image looks like in an epoch, the same for every student, part of a data set and process."""

import numpy as np
import pytest
import torch

from distilgrid.tasks.kinds.image.views import Images, ViewedImages, augmented, draw_views
from distilgrid.tasks.settings import Views

IDS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, size=2000)


def pixels(count: int, *, height: int = 6, width: int = 5, channels: int = 3) -> np.ndarray:
    shape = (count, height, width, channels)
    return np.random.default_rng(1).integers(1, 256, size=shape, dtype=np.uint8)


def seen(image: np.ndarray, down: int, across: int, flip: bool, border: int) -> np.ndarray:
    """One view by hand: (C, H, W)."""
    height, width, channels = image.shape
    view = np.zeros((channels, height, width), dtype=np.uint8)
    for y in range(height):
        for x in range(width):
            from_y, from_x = y + down - border, x + across - border
            if 0 <= from_y < height and 0 <= from_x < width:
                view[:, y, width - 1 - x if flip else x] = image[from_y, from_x]
    return view


def test_views_are_shifted_over_black_and_mirrored() -> None:
    images, border = pixels(4), 2
    rows = np.array([2, 0, 2, 3, 1])
    offsets, flips = np.array([[0, 0], [4, 4], [2, 2], [1, 3], [3, 0]]), np.array([False, True, True, False, True])
    found = augmented(images, rows, offsets=offsets, flips=flips, padding=border)
    assert found.shape == (5, 3, 6, 5)
    assert found.dtype == torch.uint8
    assert found.is_contiguous(memory_format=torch.channels_last)
    for number, (row, (down, across), flip) in enumerate(zip(rows, offsets, flips, strict=True)):
        assert np.array_equal(found[number].numpy(), seen(images[row], down, across, bool(flip), border))


def test_every_shift_is_as_likely_and_half_are_mirrored() -> None:
    offsets, flips = draw_views(IDS, Views(shift=1, flip=True), seed=3)
    counts = np.bincount(offsets[:, 0] * 3 + offsets[:, 1], minlength=9)
    assert counts.min() > 160 and counts.max() < 290, "2,000 draws of 9"
    assert 0.45 < flips.mean() < 0.55
    assert abs(np.corrcoef(offsets[:, 0], offsets[:, 1])[0, 1]) < 0.1
    assert abs(np.corrcoef(offsets[:, 0], flips)[0, 1]) < 0.1


def test_epochs_and_seeds_draw_anew() -> None:
    drawn = [draw_views(IDS, Views(shift=4, flip=True), seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0][0], drawn[1][0]) and np.array_equal(drawn[0][1], drawn[1][1])
    assert (drawn[0][0] == drawn[2][0]).all(axis=1).mean() < 0.05
    assert 0.4 < (drawn[0][1] == drawn[2][1]).mean() < 0.6


def test_a_sample_is_an_image_in_an_epoch() -> None:
    images, ids = Images(pixels(8)), IDS[:8]
    viewed = ViewedImages(images, Views(shift=2, flip=True), ids)
    again = ViewedImages(images, Views(shift=2, flip=True), ids)
    first, second = viewed.batch([8 + 3, 8 + 5])["pixel_values"], viewed.batch([16 + 3, 16 + 5])["pixel_values"]
    assert not torch.equal(first, second), "another epoch"
    assert torch.equal(again.batch([8 + 5])["pixel_values"][0], first[1]), "not what else is in the batch"
    assert viewed.rows([8 + 3, 16 + 5]).tolist() == [3, 5]


def test_a_part_of_the_images_has_the_views_of_the_whole() -> None:
    images, settings, chosen = Images(pixels(8)), Views(shift=2, flip=True), [1, 4, 6]
    whole = ViewedImages(images, settings, IDS[:8])
    part = ViewedImages(images.take(chosen), settings, IDS[:8][chosen])
    assert torch.equal(whole.batch([8 + 4])["pixel_values"], part.batch([3 + 1])["pixel_values"])


def test_without_shift_and_flip_images_stay_as_they_are() -> None:
    images = Images(pixels(4))
    viewed = ViewedImages(images, Views(), IDS[:4])
    assert torch.equal(viewed.batch([4 + 2, 4])["pixel_values"], images.batch([2, 0])["pixel_values"])
    assert images.batch([2])["pixel_values"].shape == (1, 3, 6, 5)


@pytest.mark.parametrize("views", [Views(flip=True), Views(shift=1)])
def test_either_alone_is_drawn(views: Views) -> None:
    offsets, flips = draw_views(IDS, views, seed=0)
    assert flips.any() == views.flip
    assert offsets.max() == 2 * views.shift
