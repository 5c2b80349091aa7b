"""Train, dev and validation rows, held out or capped by a seeded and stratified choice."""

from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import limit_rows, sample_rows
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd


def complete_splits(splits: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data) -> "dict[str, pd.DataFrame]":
    """Complete the splits of a source by holding rows out of train, seeded and stratified.

    `dev` selects checkpoints and `validation` reports, so no row serves both.
    """
    splits = dict(splits)
    if spec.validation[0] not in splits:
        _hold_out(splits, spec, data, round(spec.validation_fraction * len(splits["train"])), "validation")
    absent = [name for name in spec.validation if name not in splits]
    if absent:
        raise UserError(f"{spec.source}: brings no rows for the split '{absent[0]}'; add them or drop its name")
    caps = {"train": data.max_train_rows, **dict.fromkeys(spec.validation, data.max_validation_rows)}
    if "dev" in splits:
        caps["dev"] = data.max_dev_rows
    else:
        count = len(splits["train"])
        _hold_out(splits, spec, data, min(round(data.dev_fraction * count), data.max_dev_rows or count), "dev")
    for name, cap in caps.items():
        if cap is not None:
            splits[name] = limit_rows(splits[name], cap, seed=data.seed, kind=spec.task_kind, purpose=name)
    return splits


def _hold_out(splits: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data, count: int, purpose: str) -> None:
    """Move rows from train to `dev`, or to the first validation split."""
    train, name = splits["train"], "dev" if purpose == "dev" else spec.validation[0]
    mask = sample_rows(train, max(1, count), seed=data.seed, kind=spec.task_kind, purpose=purpose, held_out=True)
    if not mask.any():
        raise UserError(f"{spec.source}: {len(train)} training row(s) are too few to hold out '{purpose}'; add rows")
    splits[name], splits["train"] = train[mask].reset_index(drop=True), train[~mask].reset_index(drop=True)
