"""Settings of rows: how many to use, and how training looks at them. Light: no torch."""

from pydantic import Field

from distilgrid.core.schema import Seed, Settings


class Data(Settings):
    """Sources of rows, and how many of them to use."""

    glue_dir: str | None = None
    """A folder of GLUE parquet files; null reads DISTILGRID_GLUE_DIR, else the hub at a pinned revision."""
    cifar_dir: str | None = None
    """A folder of CIFAR files, parquet or the official binary ones; null reads DISTILGRID_CIFAR_DIR, else the hub at a
    pinned revision."""
    max_train_rows: int | None = Field(default=None, ge=2)
    """Cap on training rows: a seeded, stratified subset; null keeps all."""
    dev_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training rows held out as `dev` for checkpoint selection, where the source brings no dev split."""
    max_dev_rows: int | None = Field(default=2000, ge=2)
    """Cap on dev rows; rows over it stay in training."""
    max_validation_rows: int | None = Field(default=None, ge=2)
    """Cap on the rows of each validation split: a seeded, stratified subset, for quick looks; null keeps all."""
    leave_out_near: bool = False
    """Leave out rows of `train` and `dev` that are near a validation row, too. Equal ones are always left out."""
    seed: Seed = 0
    """Seed of splits and subsets; independent of the training seeds."""


class Views(Settings):
    """Random views of images: shifted over a black border, and mirrored.

    The image's row, the epoch and a separate seed decide a view. All students of a grid see the same views, so a
    teacher's outputs on them are recorded once.
    """

    shift: int = Field(default=0, ge=0, le=16)
    """Largest shift in pixels, in each direction: 4 for CIFAR."""
    flip: bool = False
    """Mirror every other image, at random, from left to right."""
    seed: Seed = 0
    """Seed of the views; independent of the training seeds."""

    @property
    def drawn(self) -> bool:
        """Whether images look different in each epoch."""
        return self.shift > 0 or self.flip
