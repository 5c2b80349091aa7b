"""Stage `prepare`: from a task's source to checked rows in parquet, one file per split."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.artefacts import write_json, writing
from distilgrid.params import Data
from distilgrid.recipes import prepare_recipe
from distilgrid.tasks.rows import check_rows, complete_splits, label_set
from distilgrid.tasks.sources import Raw, load_raw, source_revision
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd


def prepare(*, task: str, spec: TaskSpec, data: Data, glue_dir: Path | None, out: Path) -> None:
    """Write `train`, `dev` and the validation splits of a task, and `dataset.json`.

    Raises:
        UserError: for missing files or columns, empty splits, missing texts, and labels outside the set.
    """
    recipe = prepare_recipe(spec=spec, revision=source_revision(spec, glue_dir), data=data)
    with writing(out, recipe=recipe, labels={"task": task}) as folder:
        raw = load_raw(spec, glue_dir)
        labels = label_set(spec, raw.splits["train"], _origin(spec, "train")) if "train" in raw.splits else []
        checked = {split: check_rows(rows, spec, labels, _origin(spec, split)) for split, rows in raw.splits.items()}
        splits = complete_splits(checked, spec, data)
        for name, frame in splits.items():
            frame.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
        write_json(folder / "dataset.json", _description(task, spec, labels, splits, raw))


def _origin(spec: TaskSpec, split: str) -> str:
    if split in spec.validation and spec.validation_source:
        return spec.validation_source
    return f"{spec.source} ({split})"


def _description(
    task: str, spec: TaskSpec, labels: list[str], splits: "dict[str, pd.DataFrame]", raw: Raw
) -> dict[str, Any]:
    return {
        "task": task,
        "labels": labels,
        "regression": spec.regression,
        "metrics": spec.metrics,
        "validation": spec.validation,
        "notes": raw.notes + _capped(spec, splits, raw),
        "splits": {name: _summary(frame, labels) for name, frame in splits.items()},
    }


def _summary(frame: "pd.DataFrame", labels: list[str]) -> dict[str, Any]:
    counts = {label: int((frame["label"] == i).sum()) for i, label in enumerate(labels)}
    return {"rows": len(frame), "pair": "text_b" in frame.columns, "label_counts": counts}


def _capped(spec: TaskSpec, splits: "dict[str, pd.DataFrame]", raw: Raw) -> list[str]:
    """What tables must say about validation splits that are not whole."""
    sizes = {name: (len(splits[name]), len(raw.splits[name])) for name in spec.validation if name in raw.splits}
    return [f"{name}: {kept:,} of {whole:,} rows" for name, (kept, whole) in sizes.items() if kept < whole]
