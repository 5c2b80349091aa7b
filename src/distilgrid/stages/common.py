"""Options, inputs and file names that several stages share."""

from collections.abc import Collection, Mapping
from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.core.schema import MAX_SEED
from distilgrid.core.stage import Input, Option

# Models of texts also have their tokeniser's files, which `run.json` lists and which are verified on use.
WRITTEN = ("metrics.json", "history.parquet", "predictions.parquet", "run.json")
MODEL_FILES = ("model.safetensors", "config.json", *WRITTEN)

TASK = Option("task", "Name of the task.")
TEACHER = Option("teacher", "Name under `teachers` in the parameters.")
METHOD = Option("method", "Name under `methods` in the parameters, or a preset.")
AUGMENTATION = Option("augmentation", "Name under `augmentations` in the parameters, or none.")
FRACTION = Option("fraction", "Share of the training rows.", float, 1.0, low=1e-9, high=1.0)
SEARCH = Option("search", "Name under `searches` in the parameters.")
CONTROLLER_SEED = Option("seed", "Seed of the controller.", int, 0, low=0, high=MAX_SEED)
PROFILE = Option("profile", "Also trace some steps into this file, for ui.perfetto.dev.", Path, None)

DATA = Input("data", "Prepared data: a folder made by `prepare`.", ("prepare",))
MODELS = ("finetune", "distill")
TEACHER_DIR = Input("teacher-dir", "Trained teacher: a folder `finetune` made; an assistant's, `distill`.", MODELS)
FINETUNED = Input("teacher-dir", "Trained teacher: a folder made by `finetune`.", ("finetune",))
OUTPUTS = Input("teacher-outputs", "A folder made by `record`, of the kind that the estimator needs.", ("record",))
AUGMENTED = Input("augmented", "Augmented rows of the data: a folder made by `augment`.", ("augment",), required=False)


def refuse_unread(unread: Mapping[str, tuple[bool, str]], given: Collection[str]) -> None:
    """Refuse options that are given although settings read nothing of them.

    `unread` holds, by option, whether that is so, and why. Raises UserError naming the first such option.
    """
    for option, (surplus, why) in unread.items():
        if surplus and option in given:
            raise UserError(f"--{option}: {why} leave it out")


def scored(metrics: dict[str, object]) -> list[str]:
    """A model's main score; a helper process of a data-parallel job has none."""
    return [f"{metrics['score_name']} on {metrics['split']}: {metrics['score']:.4f}"] if metrics else []
