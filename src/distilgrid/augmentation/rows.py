"""Augmented rows from training rows: choice of texts, their seeds, and the results that are kept."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distilgrid.augmentation.base import Augmented, Augmenter, Rewriting, RowContext, Surroundings
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.core.loading import load
from distilgrid.tasks.dataset import TEXT_COLUMNS, Dataset, example_ids
from distilgrid.tasks.likeness import likeness, row_texts

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("distilgrid")


def build_augmenter(settings: Rewriting, surroundings: Surroundings) -> Augmenter:
    """Build the Augmenter of some settings. Raises UserError when a model is missing, damaged or of the wrong kind."""
    augmenter: Augmenter = load(settings.augmenter)(settings, surroundings)
    return augmenter


def rewritten_rows(settings: Rewriting, context: RowContext) -> Augmented:
    """`RowSource` of all augmentations that rewrite training rows."""
    augmenter = build_augmenter(settings, context.surroundings)
    return augmented_rows(context.rows, augmenter, settings, scored=_scored(context.dataset))


def augmented_rows(
    frame: "pd.DataFrame", augmenter: Augmenter, settings: Rewriting, *, scored: Sequence[str] = ()
) -> Augmented:
    """Rows that an augmentation adds to a training split: `text_a`, `text_b` (pairs only), `label`, `example_id`.

    A text's seed follows from the settings' seed, the row's example_id, the column and the copy's number, not from
    other rows: equal rows have equal copies. New rows that are like one of `scored`, which `row_texts` made of the rows
    that models are scored on, are left out. Raises UserError when a column is missing.
    """
    import pandas as pd

    columns = [name for name in TEXT_COLUMNS if name in frame.columns]
    for name in (TEXT_COLUMNS[0], "label", "example_id"):
        if name not in frame.columns:
            raise UserError(f"training rows: no column '{name}'; augmentation takes the rows of a prepared data set")
    parents = pd.Series([[origin] for origin in frame["example_id"].tolist()], index=frame.index, dtype=object)
    rows = frame[[*columns, "label", "example_id"]].assign(parents=parents)
    rows = rows.iloc[np.repeat(np.arange(len(frame)), settings.copies)].reset_index(drop=True)
    rows["copy"] = np.tile(np.arange(settings.copies, dtype=np.int64), len(frame))
    _rewrite(rows, columns, augmenter, settings)
    ids = example_ids([rows[name].tolist() for name in columns])
    rows["example_id"] = np.array(ids, dtype=np.int64)
    unchanged = rows["example_id"].isin(frame["example_id"]).to_numpy()
    row = rows.index.to_numpy() // settings.copies
    repeated = rows.assign(row=row)[~unchanged].duplicated(["row", "example_id"]).to_numpy()
    new = rows[~unchanged][~repeated]
    alike = likeness(row_texts(new), scored)
    kept = new[~(alike.equal | alike.near)].reset_index(drop=True)
    left_out = {"unchanged": int(unchanged.sum()), "repeated": int(repeated.sum())}
    left_out |= {"scored": alike.counts["equal"], "near": alike.counts["near"]}
    said = "%d augmented rows; left out: %d unchanged, %d repeated, %d equal to a row of dev or validation, %d near one"
    log.info(said, len(kept), *left_out.values())
    return Augmented(kept, **left_out)


def _scored(dataset: Dataset) -> list[str]:
    """Texts of `dev` and of all validation splits, as `likeness` compares them."""
    return [row for name in ("dev", *dataset.validation) for row in row_texts(dataset.split(name))]


def samples(frame: "pd.DataFrame", augmented: "pd.DataFrame", *, count: int = 8, seed: int = 0) -> list[dict[str, Any]]:
    """At most `count` augmented rows with the training rows that they are made of, as values that JSON can hold."""
    columns = [name for name in TEXT_COLUMNS if name in frame.columns]
    chosen = np.random.default_rng(seed).choice(len(augmented), size=min(count, len(augmented)), replace=False)
    originals = frame.drop_duplicates("example_id").set_index("example_id")
    shown = []
    for row in augmented.iloc[np.sort(chosen)].to_dict("records"):
        before = [[originals.loc[parent, name] for name in columns] for parent in row["parents"]]
        texts = {"before": before, "after": [row[name] for name in columns]}
        shown.append({"parents": list(row["parents"]), "copy": row["copy"], "label": row["label"], **texts})
    return shown


def _rewrite(rows: "pd.DataFrame", columns: list[str], augmenter: Augmenter, settings: Rewriting) -> None:
    """Rewrite the texts that the settings choose."""
    places = [
        (index, name, f"augment/{origin}/{name}/{copy}")
        for index, ((origin,), copy) in enumerate(zip(rows["parents"], rows["copy"], strict=True))
        for name in _chosen(columns, settings, f"augment/{origin}/fields/{copy}")
    ]
    values = {name: rows[name].tolist() for name in columns}
    seeds = [derive_seed(settings.seed, stream) for *_, stream in places]
    new = augmenter.rewrite([values[name][at] for at, name, _ in places], seeds)
    for (at, name, _), text in zip(places, new, strict=True):
        values[name][at] = text
    for name in columns:
        rows[name] = values[name]


def _chosen(columns: list[str], settings: Rewriting, stream: str) -> list[str]:
    """Columns that are rewritten in one copy of a row."""
    if len(columns) == 1 or settings.fields == "both":
        return columns
    if settings.fields == "random":
        return [columns[derive_seed(settings.seed, stream) % 2]]
    return [columns[0 if settings.fields == "first" else 1]]
