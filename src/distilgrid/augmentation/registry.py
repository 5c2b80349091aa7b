"""The table of augmentations. Light: no torch here.

An augmentation of this project is a folder with its settings in `declare.py`, and a row here. Another package lists its
settings class in the entry points group `distilgrid.augmentations`.
"""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from distilgrid.augmentation.base import Added
from distilgrid.core.loading import load_class, with_added

AUGMENTATIONS = with_added(
    "distilgrid.augmentations",
    {
        "back-translation": "distilgrid.augmentation.back_translation.declare:BackTranslation",
        "word-replacement": "distilgrid.augmentation.word_replacement.declare:WordReplacement",
        "eda": "distilgrid.augmentation.eda.declare:EDA",
        "unlabelled": "distilgrid.augmentation.unlabelled.declare:Unlabelled",
    },
)
"""Each kind's settings class, as "module:class"."""

if TYPE_CHECKING:
    Augmentation = Added
else:
    _classes = [load_class(f"augmentation '{name}'", target, Added) for name, target in AUGMENTATIONS.items()]
    Augmentation = Annotated[reduce(or_, _classes), Field(discriminator="kind")]
