"""The table of augmentations: where the code of each is, and its declared version. Light: no torch here.

To add an augmentation: write `augmentation/<name>.py` with an Augmenter, its settings in `settings.py`, and a row here.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distilgrid.augmentation.augmenter import Augmenter
    from distilgrid.augmentation.settings import Rewritten


@dataclass(frozen=True)
class AugmentationEntry:
    """One row of the table: `target` is "module:name" of an Augmenter, or of what brings rows of its own; `version` is
    bumped when its texts may change."""

    target: str
    version: int


AUGMENTATIONS = {
    "back-translation": AugmentationEntry("distilgrid.augmentation.back_translation:BackTranslationAugmenter", 1),
    "word-replacement": AugmentationEntry("distilgrid.augmentation.word_replacement:WordReplacementAugmenter", 1),
    "eda": AugmentationEntry("distilgrid.augmentation.eda:EDAAugmenter", 1),
    "unlabelled": AugmentationEntry("distilgrid.augmentation.unlabelled:unlabelled_rows", 1),
}


def build_augmenter(
    settings: "Rewritten", *, teacher: Path | None, journal: Path | None = None, device: str = "auto"
) -> "Augmenter":
    """The Augmenter of some settings, imported on first use because it needs torch.

    Args:
        settings: the augmentation's.
        teacher: folder of the fine-tuned teacher, read where the settings name no other source.
        journal: folder where unfinished work is kept, so that a killed run goes on; None keeps nothing.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: when a model is missing, damaged or of the wrong kind.
    """
    from distilgrid.augmentation.augmenter import Surroundings

    module, _, name = AUGMENTATIONS[settings.kind].target.partition(":")
    surroundings = Surroundings(teacher=teacher, journal=journal, device=device)
    augmenter: Augmenter = getattr(importlib.import_module(module), name)(settings, surroundings)
    return augmenter
