"""Texts without labels as training rows that a teacher labels.

Turc, Chang, Lee, Toutanova: Well-Read Students Learn Better, 2019 (arXiv 1908.08962): a student is distilled on
unlabelled texts that are like its task's, a *transfer set*. The stage adds the teacher's labels.
"""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.augmentation.augmenter import Augmented, RowContext
from distilgrid.augmentation.unlabelled.declare import Unlabelled
from distilgrid.tasks.dataset import TEXT_COLUMNS, stratified_sample

if TYPE_CHECKING:
    pass

log = logging.getLogger("distilgrid")


def unlabelled_rows(settings: Unlabelled, context: RowContext) -> Augmented:
    """`RowSource` of unlabelled texts, which have no `parents` and a placeholder as their `label`.

    Rows of the data set are left out: training rows because they are not new, rows of `dev` and of the validation
    splits because they are scored.
    """
    import pandas as pd

    assert context.lent is not None, "unlabelled texts are lent"
    dataset, pool = context.dataset, context.lent.read()
    known = np.concatenate([dataset.split(name)["example_id"].to_numpy() for name in dataset.splits])
    new = pool[~pool["example_id"].isin(known)].reset_index(drop=True)
    left_out = len(pool) - len(new)
    if settings.max_rows is not None and settings.max_rows < len(new):
        ids = new["example_id"].to_numpy()
        taken = stratified_sample(ids, None, count=settings.max_rows, seed=settings.seed, purpose="unlabelled")
        new = new[taken].reset_index(drop=True)
    log.info("%d unlabelled rows; %d left out, which the data set holds", len(new), left_out)
    parentless: pd.Series[Any] = pd.Series([[] for _ in range(len(new))], dtype=object)
    frame = new.assign(label=dataset.task_kind.rows().placeholder, parents=parentless, copy=np.int64(0))
    columns = [name for name in TEXT_COLUMNS if name in new.columns]
    return Augmented(frame[[*columns, "label", "example_id", "parents", "copy"]], left_out)
