"""Stage `prepare`: from a task's source to checked rows in parquet, one file per split."""

from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import write_json
from distilgrid.stages.job import Job
from distilgrid.stages.prepare.declare import PrepareSettings
from distilgrid.tasks import facts
from distilgrid.tasks.likeness import alike
from distilgrid.tasks.sources import Raw, load_raw
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.splits import complete_splits

if TYPE_CHECKING:
    import pandas as pd

    Splits = dict[str, pd.DataFrame]


def prepare(settings: PrepareSettings, job: Job) -> None:
    """Write `train`, `dev` and the validation splits of a task, and `dataset.json`.

    Raises:
        UserError: for missing files or columns, empty splits, missing texts, labels outside the set, and images that
            cannot be read or differ in size.
    """
    spec = settings.spec
    raw = load_raw(spec, settings.folders)
    origins = {split: _origin(spec, split, raw) for split in raw.splits}
    reader = spec.task_kind.rows()
    labels = reader.label_set(spec, raw.splits["train"], origins["train"]) if "train" in raw.splits else []
    checked = reader.check(raw.splits, spec, labels, origins)
    if spec.id:
        checked = {
            name: frame.assign(id=_ids(raw.splits[name], spec.id, origins[name])) for name, frame in checked.items()
        }
    completed = complete_splits(checked, spec, settings.data)
    splits = completed.frames
    description = _description(settings, labels, splits, raw) | reader.describe(splits, spec)
    description["notes"] += completed.notes
    description["alike"] = alike(splits, validation=spec.validation, left_out=completed.left_out)
    description["found"] = {name: completed.found.get(name, {}) | facts.facts(frame) for name, frame in splits.items()}
    description["cautions"] = facts.cautions(description)
    facts.report(description, max_length=settings.max_length)
    for name, frame in splits.items():
        reader.write(frame, job.folder / f"{name}.parquet")
    write_json(job.folder / "dataset.json", description)


def _ids(frame: "pd.DataFrame", column: str, origin: str) -> list[str]:
    """The user's names of rows. Raises UserError for a missing column or name."""
    from distilgrid.tasks.kinds.label.rows import as_texts, check_columns, check_filled

    check_columns(frame, [column], origin)
    check_filled(frame[column], origin)
    return as_texts(frame[column], origin)


def _origin(spec: TaskSpec, split: str, raw: Raw) -> str:
    if split in raw.files:
        return raw.files[split]
    if split in spec.validation and spec.validation_source:
        return spec.validation_source
    return f"{spec.source} ({split})"


def _description(own: PrepareSettings, labels: list[str], splits: "Splits", raw: Raw) -> dict[str, Any]:
    spec = own.spec
    counts = {
        name: {label: int((frame["label"] == i).sum()) for i, label in enumerate(labels)}
        for name, frame in splits.items()
    }
    return {
        "task": own.task,
        "kind": spec.kind,
        "labels": labels,
        "metrics": spec.metrics,
        "validation": spec.validation,
        **({"id": spec.id} if spec.id else {}),
        "notes": raw.notes + _capped(spec, splits, raw),
        "splits": {name: {"rows": len(splits[name]), "label_counts": count} for name, count in counts.items()},
    }


def _capped(spec: TaskSpec, splits: "Splits", raw: Raw) -> list[str]:
    """What tables must say about validation splits that are not whole."""
    sizes = {name: (len(splits[name]), len(raw.splits[name])) for name in spec.validation if name in raw.splits}
    return [f"{name}: {kept:,} of {whole:,} rows" for name, (kept, whole) in sizes.items() if kept < whole]
