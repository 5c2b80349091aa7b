"""Stage `supernet`: one model whose slices are all architectures of a space, trained together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import trained_model, verified, write_json, writing
from distilgrid.core.fingerprint import recipe_key
from distilgrid.jobs.process import stopping_gently
from distilgrid.models.io import load_tokenizer, save_model
from distilgrid.models.source import model_folder, model_revision
from distilgrid.plan.recipes import supernet_recipe
from distilgrid.search.estimators.registry import SEED, EstimatorSources, homogeneous, open_lessons, placed
from distilgrid.search.estimators.settings import SupernetSettings
from distilgrid.search.space import AnySpace
from distilgrid.training.checkpoint import Checkpoints
from distilgrid.training.device import prepare_device
from distilgrid.training.execution import Execution
from distilgrid.training.settings import Training

DEFAULT = Execution()


def supernet(
    *,
    settings: SupernetSettings,
    training: Training,
    space: AnySpace,
    origin: str,
    data: Path,
    teacher: Path,
    teacher_outputs: Path,
    subset_seed: int,
    out: Path,
    labels: Mapping[str, Any],
    execution: Execution = DEFAULT,
) -> None:
    """Train a supernet by the sandwich rule, from the fine-tuned teacher's weights.

    Args:
        settings: of the supernet.
        training: the common training settings.
        space: the architectures.
        origin: source of the pretrained model.
        data: prepared data.
        teacher: the fine-tuned teacher.
        teacher_outputs: its recorded logits on the training rows.
        subset_seed: of the rows that it learns from.
        out: where the model goes, with `supernet.json`.
        labels: what `run.json` says about it.
        execution: how the job runs.

    Raises:
        UserError: when an input is missing or damaged, or the space has layers that differ.
        Interrupted: when the process was asked to stop; the state is saved.
    """
    from distilgrid.search.estimators.supernet_estimator import train_supernet

    keys = {"data": verified(data)["key"], "teacher-dir": trained_model(teacher)["key"]}
    keys["teacher-outputs"] = verified(teacher_outputs, stage="record")["key"]
    recipe = supernet_recipe(
        settings=settings, training=training, space=space, origin=model_revision(origin), inputs=keys
    )
    sources = EstimatorSources(
        data, model_folder(origin), (teacher_outputs,), teacher, subset_seed=subset_seed, device=execution.device
    )
    lessons = open_lessons(settings, training, sources)
    placement = placed(lessons.training, execution.device)
    prepare_device(placement, deterministic=execution.deterministic)
    with writing(out, recipe=recipe, labels=labels) as folder, stopping_gently() as stop:
        seconds = execution.checkpoint_seconds
        checkpoints = Checkpoints(out, key=recipe_key(recipe), seconds=seconds, stop=stop)
        trained = train_supernet(
            settings, lessons, homogeneous(space), seed=SEED, placement=placement, checkpoints=checkpoints
        )
        save_model(trained.model, load_tokenizer(model_folder(origin)), folder)
        write_json(folder / "supernet.json", {"space": space.model_dump(), "settings": settings.model_dump()})
