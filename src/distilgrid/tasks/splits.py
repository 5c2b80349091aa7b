"""Splits of a task's rows: completed by holding rows out of train, freed of validation rows, and capped.

Light: imports NumPy and pandas on use.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.tasks.dataset import limit_rows, take_turns
from distilgrid.tasks.likeness import has_texts, likeness, row_texts
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger("distilgrid")


@dataclass
class Splits:
    """The rows of each split, and what became of the others."""

    frames: "dict[str, pd.DataFrame]"
    left_out: dict[str, int] = field(default_factory=dict)  # rows of train and dev that are those of validation
    found: dict[str, dict[str, int]] = field(default_factory=dict)  # by split: rows `given`, `held_out`, `capped`
    notes: list[str] = field(default_factory=list)  # shares and caps that do not hold, for tables

    def note_count(self, name: str, wanted: int, reason: str) -> None:
        """Say why a split does not hold the wanted number of rows, give or take one."""
        found = len(self.frames[name])
        if abs(found - wanted) > 1:
            self.notes.append(f"{name}: {found:,} rows in place of {wanted:,}: {reason}")
            log.warning("%s", self.notes[-1])


def complete_splits(frames: "dict[str, pd.DataFrame]", spec: TaskSpec, data: Data) -> Splits:
    """Complete the splits of a source by holding rows out of train, seeded and stratified.

    `dev` selects checkpoints and `validation` reports, so no row serves both. Rows of `train` and `dev` whose texts are
    those of a validation row, apart from case, space, punctuation and order, are left out, and counted by split, as are
    rows that are near one, with `leave_out_near`. Raises UserError when a split is missing, or no row is left in one.
    """
    splits = Splits(dict(frames), found={name: {"given": len(frame)} for name, frame in frames.items()})
    frames = splits.frames
    if spec.validation[0] not in frames:
        _hold_out(splits, spec, data, round(spec.validation_fraction * len(frames["train"])), "validation")
    absent = [name for name in spec.validation if name not in frames]
    if absent:
        raise UserError(f"{spec.source}: brings no rows for the split '{absent[0]}'; add them or drop its name")
    _leave_out(splits, spec, data)
    caps = {"train": data.max_train_rows, **dict.fromkeys(spec.validation, data.max_validation_rows)}
    if "dev" in frames:
        caps["dev"] = data.max_dev_rows
    else:
        count = len(frames["train"])
        _hold_out(splits, spec, data, min(round(data.dev_fraction * count), data.max_dev_rows or count), "dev")
    for name, cap in caps.items():
        if cap is not None:
            whole = len(frames[name])
            frames[name] = limit_rows(frames[name], cap, seed=data.seed, kind=spec.task_kind, purpose=name)
            splits.found.setdefault(name, {})["capped"] = whole - len(frames[name])
            splits.note_count(name, min(cap, len(frames[name])), "each label keeps a row")
    return splits


def _leave_out(splits: Splits, spec: TaskSpec, data: Data) -> None:
    """Remove rows of `train` and `dev` that are equal to a validation row, or near one if asked to.

    Published images stay as they are: papers report scores with them.
    """
    if not (spec.task_kind.tokenised or spec.own_file):
        return
    scored = [row for name in spec.validation for row in row_texts(splits.frames[name])]
    for name in ("train", "dev"):
        if name in splits.frames:
            frame = splits.frames[name]
            kept = ~_like(frame, scored, near=data.leave_out_near)
            if not kept.any():
                apart = ", apart from case, space and punctuation" if has_texts(frame) else ""
                nearly = f"{apart}, or near one" if data.leave_out_near else apart
                raise UserError(f"{spec.source}: all rows of '{name}' are validation rows{nearly}; give other rows")
            splits.left_out[name] = int((~kept).sum())
            splits.frames[name] = frame[kept].reset_index(drop=True)


def _like(frame: "pd.DataFrame", scored: list[str], *, near: bool) -> "np.ndarray":
    """(N,) whether rows are equal to a validation row, or near one."""
    import numpy as np

    if near and has_texts(frame):
        found = likeness(row_texts(frame), scored)
        return found.equal | found.near
    known = set(scored)
    return np.array([row in known for row in row_texts(frame)], dtype=bool)


def _hold_out(splits: Splits, spec: TaskSpec, data: Data, count: int, purpose: str) -> None:
    """Move rows from train to `dev`, or to the first validation split."""
    train, name = splits.frames["train"], "dev" if purpose == "dev" else spec.validation[0]
    ids, strata = train["example_id"].to_numpy(), spec.task_kind.rows().strata(train)
    # Texts of a user's file stay together if case or punctuation alone tells them apart. Dev rows of published data,
    # on which papers report nothing, are drawn as before; those that are alike are counted.
    keys = row_texts(train) if spec.own_file else [str(number) for number in ids]
    mask = held_out(ids, strata, keys, count=max(1, count), seed=data.seed, purpose=purpose)
    if not mask.any():
        few = f"{len(train)} training row(s)"
        if len(set(keys)) < len(train):
            few += f" with {len(set(keys))} different {spec.task_kind.words.rows}"
        raise UserError(f"{spec.source}: {few} are too few to hold out '{purpose}'; add rows")
    rows = spec.task_kind.words.rows
    splits.frames[name] = train[mask].reset_index(drop=True)
    splits.frames["train"] = train[~mask].reset_index(drop=True)
    splits.found["train"]["held_out"] = splits.found["train"].get("held_out", 0) + int(mask.sum())
    splits.note_count(name, max(1, count), f"equal {rows} stay together, and each label keeps some in train")


def held_out(
    ids: "np.ndarray", labels: "np.ndarray | None", keys: Sequence[str], *, count: int, seed: int, purpose: str
) -> "np.ndarray":
    """A boolean mask (N,) of about `count` rows to hold out, which keeps the shares of the labels (N,).

    Rows with the same of the N keys stay on one side. Every label keeps rows behind; where `count` allows, every label
    that has others gives some. Rows whose key is that of too many others stay behind, and the next ones in turn take
    their seats, up to half of the keys, or the share of `count` where that is larger: one frequent key is no split. The
    count is missed only there, or where no other set of rows comes nearer at the end of this search.
    """
    import numpy as np

    turns, places, sizes = take_turns(ids, labels, seed=seed, purpose=purpose)
    _, group, copies = np.unique(np.array(keys), return_inverse=True, return_counts=True)
    behind = np.isin(group, group[places == sizes - 1])
    free = turns[~behind[turns]]
    strata = np.zeros(len(ids), dtype=np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    seats, most = _seats(strata[turns], strata[free], count)
    chosen = np.isin(group, group[free[:count]])
    found = np.bincount(strata[chosen], minlength=len(seats))
    if chosen.sum() == min(count, len(free)) and (found >= seats).all() and (found <= most).all():
        return chosen
    most_keys = round(len(copies) * max(0.5, count / len(ids)))
    heads = free[np.sort(np.unique(group[free], return_index=True)[1])]  # the first row of each key
    taken, left, used = set[int](), count, np.zeros_like(seats)
    for limit in (seats, most):
        for row in heads:
            own, rows, label = int(group[row]), int(copies[group[row]]), strata[row]
            if own not in taken and len(taken) < most_keys and rows <= min(left, limit[label] - used[label]):
                taken.add(own)
                left, used[label] = left - rows, used[label] + rows
    others = [(int(copies[own]), int(own)) for own in group[heads] if int(own) not in taken]
    others = [(rows, own) for rows, own in others if (rows > left or not taken) and 2 * rows <= len(ids)]
    if others and len(taken) < most_keys and (not taken or min(others)[0] < 2 * left):
        taken.add(min(others)[1])
    return np.isin(group, list(taken))


def _seats(strata: "np.ndarray", free: "np.ndarray", count: int) -> "tuple[np.ndarray, np.ndarray]":
    """Seats of each label (C,) among `count` rows, and the most rows of it to take where others cannot fill theirs.

    Arguments are the labels of all rows, and those of free rows, by turn.
    """
    import numpy as np

    labels = int(strata.max(initial=0)) + 1
    rows, spare = np.bincount(strata, minlength=labels), np.bincount(free, minlength=labels)
    seats = np.minimum(np.bincount(strata[:count], minlength=labels), spare)
    if count >= (spare > 0).sum():
        for label in np.flatnonzero((seats == 0) & (spare > 0)):
            seats[label] += 1
            seats[seats.argmax()] -= 1
    return seats, np.minimum(np.maximum(seats, rows // 2), spare)
