"""Texts that an augmentation of a grid takes from other data sets."""

from distilgrid.augmentation.base import LentTexts
from distilgrid.plan.params import Params, data_folders
from distilgrid.tasks.spec import find_task


def text_pool(params: Params, *, task: str, augmentation: str) -> LentTexts | None:
    """Where an augmentation finds its texts; None for one that rewrites rows.

    Raises:
        UserError: for an unknown task, and a folder of published data that does not exist.
    """
    return params.augmentations[augmentation].lent_texts(
        key=f"augmentations.{augmentation}.texts",
        task=find_task(task, params.tasks),
        own=params.tasks,
        folders=data_folders(params),
    )
