"""What every augmentation offers, and what it is given beside its settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Surroundings:
    """What an Augmenter works with.

    Attributes:
        teacher: folder of the fine-tuned teacher, or None.
        journal: folder for unfinished work, or None to keep nothing.
        device: `auto`, `cpu` or `cuda`.
    """

    teacher: Path | None = None
    journal: Path | None = None
    device: str = "auto"


class Augmenter(Protocol):
    """Rewrites texts."""

    def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One new text for each text; a text that cannot be rewritten comes back as it is.

        A new text depends on its own text and seed, the settings and the model. Sampled back-translation depends on
        the texts of its batch too, thus on the set of all (text, seed) pairs of a call, but never on their order.
        """
        ...
