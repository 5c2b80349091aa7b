"""What a user can set about how images are seen in training. Light: no torch here."""

from pydantic import Field

from distilgrid.core.schema import Settings


class Views(Settings):
    """Random views of images: shifted by up to some pixels, over a black border, and mirrored.

    They follow from the image's row, the epoch and their own seed alone. All students of a grid therefore see the same
    views, and a teacher's outputs on them are recorded once.
    """

    shift: int = Field(default=0, ge=0, le=16)
    """Largest shift in pixels, in each direction: 4 for CIFAR."""
    flip: bool = False
    """Mirror every other image, at random, from left to right."""
    seed: int = Field(default=0, ge=0)
    """Seed of the views; independent of the training seeds."""

    @property
    def drawn(self) -> bool:
        """Whether an image looks different in each epoch."""
        return self.shift > 0 or self.flip
