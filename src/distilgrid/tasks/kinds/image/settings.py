"""Settings of the views of images in training. Light: no torch."""

from pydantic import Field

from distilgrid.core.schema import Settings


class Views(Settings):
    """Random views of images: shifted over a black border, and mirrored.

    The image's row, the epoch and a separate seed decide a view. All students of a grid see the same views, so a
    teacher's outputs on them are recorded once.
    """

    shift: int = Field(default=0, ge=0, le=16)
    """Largest shift in pixels, in each direction: 4 for CIFAR."""
    flip: bool = False
    """Mirror every other image, at random, from left to right."""
    seed: int = Field(default=0, ge=0)
    """Seed of the views; independent of the training seeds."""

    @property
    def drawn(self) -> bool:
        """Whether images look different in each epoch."""
        return self.shift > 0 or self.flip
