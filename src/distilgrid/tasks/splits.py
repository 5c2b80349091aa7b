"""Train, dev and validation rows, held out or capped by a seeded and stratified choice."""

from typing import TYPE_CHECKING

import numpy as np

from distilgrid.core.errors import UserError
from distilgrid.tasks.kind import TaskKind
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.subset import stratified_sample

if TYPE_CHECKING:
    import pandas as pd


def complete_splits(splits: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data) -> "dict[str, pd.DataFrame]":
    """Complete the splits of a source by holding rows out of train, seeded and stratified.

    `dev` selects checkpoints and `validation` reports, so no row serves both.
    """
    splits, kind = dict(splits), spec.task_kind
    if spec.validation[0] not in splits:
        wanted = round(spec.validation_fraction * len(splits["train"]))
        splits[spec.validation[0]], splits["train"] = _held_out(splits["train"], spec, data, wanted, "validation")
    absent = [name for name in spec.validation if name not in splits]
    if absent:
        raise UserError(f"{spec.source}: brings no rows for the split '{absent[0]}'; add them or drop its name")
    if "dev" not in splits:
        wanted = min(round(data.dev_fraction * len(splits["train"])), data.max_dev_rows or len(splits["train"]))
        splits["dev"], splits["train"] = _held_out(splits["train"], spec, data, wanted, "dev")
    elif data.max_dev_rows is not None:
        splits["dev"] = limit_rows(splits["dev"], data.max_dev_rows, seed=data.seed, kind=kind, purpose="dev")
    caps = {"train": data.max_train_rows, **dict.fromkeys(spec.validation, data.max_validation_rows)}
    for name, cap in caps.items():
        if cap is not None:
            splits[name] = limit_rows(splits[name], cap, seed=data.seed, kind=kind, purpose=name)
    return splits


def limit_rows(frame: "pd.DataFrame", count: int, *, seed: int, kind: TaskKind, purpose: str) -> "pd.DataFrame":
    """A seeded, stratified subset of about `count` rows in their original order."""
    if count >= len(frame):
        return frame
    return frame[_sample(frame, count, seed, kind, purpose)].reset_index(drop=True)


def _held_out(
    frame: "pd.DataFrame", spec: TaskSpec, data: Data, count: int, purpose: str
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    mask = _sample(frame, max(1, count), data.seed, spec.task_kind, purpose, held_out=True)
    if not mask.any():
        raise UserError(f"{spec.source}: {len(frame)} training row(s) are too few to hold out '{purpose}'; add rows")
    return frame[mask].reset_index(drop=True), frame[~mask].reset_index(drop=True)


def _sample(
    frame: "pd.DataFrame", count: int, seed: int, kind: TaskKind, purpose: str, *, held_out: bool = False
) -> np.ndarray:
    ids, strata = frame["example_id"].to_numpy(), kind.rows().strata(frame)
    return stratified_sample(ids, strata, count=count, seed=seed, purpose=purpose, held_out=held_out)
