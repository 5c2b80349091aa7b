"""Settings of mixed samples. Light: no torch here."""

from typing import Literal

from pydantic import Field

from distilgrid.core.errors import UserError
from distilgrid.core.schema import Settings
from distilgrid.training.settings import Training


class Mixup(Settings):
    """Mixing of rows: lambda * x_i + (1 - lambda) * x_j with lambda ~ Beta(a, a)."""

    beta: float = Field(default=0.4, gt=0)
    """Parameter a of Beta(a, a): near 0 a sample is almost one of its rows, at 1 all mixtures are as likely."""
    ratio: float = Field(default=1.0, gt=0)
    """Mixed samples per training row, in each epoch."""
    draw: Literal["sample", "batch"] = "sample"
    """A separate lambda for each sample, or one for all mixed samples of a batch."""
    partners: Literal["any", "similar"] = "any"
    """`any`: the partner is any other row, as in the paper; `similar`: one of about its length, which costs less."""
    token_types: Literal["mix", "keep"] = "mix"
    """Token-type embeddings of pairs of texts: mixed like the words', or those of x_i."""
    seed: int = Field(default=0, ge=0)
    """Seed of pairs and lambdas. Independent of the training seeds: all students see the same mixed samples."""


def check_batches(training: Training) -> None:
    """Refuse a token budget, under which the number of batches depends on the order of the rows."""
    if training.batch_tokens is not None:
        raise UserError("training.batch_tokens: mixkd wants batches of one size; set batch_tokens: null for it")
