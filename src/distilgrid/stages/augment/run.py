"""Stage `augment`: new training rows made of the old ones, with copied labels or a teacher's."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.augmentation.augmenter import Augmented, RowContext, Surroundings
from distilgrid.augmentation.base import Added, LentTexts
from distilgrid.augmentation.rows import samples
from distilgrid.core.artefacts import STATE, verified, write_json, writing
from distilgrid.core.errors import UserError
from distilgrid.core.loading import load
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.models.source import model_revision
from distilgrid.plan.recipes import augment_recipe
from distilgrid.signals.rows.outputs import teacher_outputs
from distilgrid.tasks.batching import encode
from distilgrid.tasks.dataset import Dataset, open_dataset, texts
from distilgrid.training.training_set import chosen_rows

if TYPE_CHECKING:
    import pandas as pd


def augment(
    *,
    data: Path,
    settings: Added,
    teacher: Path | None,
    max_length: int,
    fraction: float,
    subset_seed: int,
    out: Path,
    labels: Mapping[str, Any],
    pool: LentTexts | None = None,
    device: str = "auto",
) -> int:
    """Write the new rows, and some of them beside their originals; returns how many there are.

    Args:
        data: prepared data.
        settings: the augmentation.
        teacher: the fine-tuned teacher, if its embeddings or its labels are wanted.
        max_length: of the teacher's inputs, in tokens.
        fraction: share of the training rows to augment: those of the students.
        subset_seed: of that share.
        out: where the artefact goes.
        labels: what `run.json` says about it.
        pool: where an augmentation that rewrites nothing finds its texts.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: when an input is missing or damaged, or no new row came out.
    """
    dataset, inputs = open_dataset(data), {}
    inputs["data"] = dataset.key
    if teacher is not None:
        inputs["teacher-dir"] = verified(teacher, stage="finetune")["key"]
    elif settings.needs_teacher:
        raise UserError(f"augmentation '{settings.kind}' needs a teacher; give --teacher-dir")
    models = [model_revision(source) for source in settings.sources]
    lent = [] if pool is None else pool.revisions()
    recipe = augment_recipe(settings=settings, models=models, texts=lent, fraction=fraction, inputs=inputs)
    with writing(out, recipe=recipe, labels=labels) as folder:
        rows = chosen_rows(dataset, fraction=fraction, subset_seed=subset_seed)
        surroundings = Surroundings(teacher=teacher, journal=out / STATE, device=device)
        found: Augmented = load(settings.row_source)(settings, RowContext(dataset, rows, surroundings, pool))
        frame = found.frame
        if frame.empty:
            raise UserError(f"{data}: {settings.nothing_new}")
        if settings.labels == "teacher" and teacher is not None:
            frame = _labelled(frame, dataset, teacher, max_length)
        frame.to_parquet(folder / "train.parquet", index=False, compression="zstd")
        counts = {"rows": len(frame), "unchanged": found.unchanged, "repeated": found.repeated}
        write_json(folder / "samples.json", {**counts, "samples": samples(rows, frame)})
        return len(frame)


def _labelled(frame: "pd.DataFrame", dataset: Dataset, teacher: Path, max_length: int) -> "pd.DataFrame":
    """The rows with the teacher's labels."""
    encodings = encode(load_tokenizer(teacher), *texts(frame), max_length=max_length)
    outputs = teacher_outputs(load_model(teacher), encodings, states=False).logits
    return dataset.task_kind.batch().relabelled(frame, outputs)
