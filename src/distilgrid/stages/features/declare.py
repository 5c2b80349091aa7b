"""The stage `features`: a fine-tuned teacher's features of rows, for the scatter plot of a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact, Inputs, listed
from distilgrid.core.stage import Keys, Recipe, Stage
from distilgrid.stages.common import AUGMENTED, DATA, FINETUNED, FRACTION, METHOD, TASK, TEACHER

if TYPE_CHECKING:
    from distilgrid.plan.features_settings import Features
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.signals.mixed.plan import Mixup
    from distilgrid.training.settings import Training


@dataclass(frozen=True)
class FeaturesSettings:
    """Settings of a plot of features."""

    features: "Features"  # how many rows, and the projection
    mixup: "Mixup"  # the mixing
    # The students': its batch size and batching decide the mixed samples, as in a run of one epoch.
    training: "Training"
    max_length: int  # of the teacher's inputs, in tokens
    fraction: float  # share of the training rows that the students see


def _settings(params: "Params", options: Mapping[str, Any]) -> FeaturesSettings:
    from distilgrid.plan.features_settings import Features
    from distilgrid.plan.names import teacher_length
    from distilgrid.plan.params import effective_training, find_method

    method = find_method(params, options["method"])
    if method.mixing is None:
        raise UserError(f"--method: '{options['method']}' mixes no samples; name one whose objective is mixkd")
    return FeaturesSettings(
        features=params.report.features or Features(),
        mixup=method.mixing,
        training=effective_training(params, method.training),
        max_length=teacher_length(params, options["teacher"]),
        fraction=options["fraction"],
    )


def _recipe(chosen: FeaturesSettings, keys: Keys) -> Recipe:
    return {
        "settings": chosen.features.model_dump(exclude={"method"}),
        "mixup": chosen.mixup.model_dump(),
        "batches": chosen.training.model_dump(include={"batch_size", "batching"}),
        "max_length": chosen.max_length,
        "fraction": chosen.fraction,
        "inputs": keys,
    }


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """Features of one teacher for the original rows and its students' augmented ones."""
    teacher = planner.folders[names["model"]]
    inputs: Inputs = {"data": teacher.inputs["data"], "teacher-dir": teacher}
    wanted = {axis: names[axis] for axis in ("task", "teacher", "fraction")}
    found: dict[str, Artefact] = {}  # of the teacher's students, each augmentation once
    for student in planner.wanted["distill"]:
        if "augmented" in student.inputs and wanted.items() <= student.labels.items():
            found.setdefault(student.labels["augmentation"], listed(student.inputs["augmented"])[0])
    if found:
        inputs["augmented"] = list(found.values())
    return planner.made("features", names, inputs, place="{task}/{teacher}/features".format(**names))


def _wanted(planner: "Planner") -> Iterable[Artefact]:
    """Each teacher that reads texts; none where the report wants no plot."""
    from distilgrid.plan.features_settings import KINDS, mixing_method

    params = planner.params
    features = params.report.features
    if features is None:
        return
    if taken := KINDS & set(params.grid.augmentations):
        raise UserError(f"augmentations: '{min(taken)}' names other rows in the plot of features; choose another name")
    method = mixing_method(features, params.grid.methods, params.methods)
    for teacher in planner.largest_teachers():
        task, name = teacher.labels["task"], teacher.labels["teacher"]
        if planner.of_texts(task):
            names = {"task": task, "teacher": name, "method": method, "fraction": max(params.grid.fractions)}
            yield planner.ask("features", model=teacher.folder, **names)


STAGE = Stage(
    name="features",
    version=1,
    folder="features",
    files=("features.parquet", "features.json", "run.json"),
    summary="Plot a teacher's features of original, mixed and augmented rows.",
    message="looking at",
    example="--task docs-topic --teacher minilm-l6 --method tmkd --data work/data "
    "--teacher-dir work/teacher --out work/features",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(TASK, TEACHER, METHOD, FRACTION),
    inputs=(DATA, FINETUNED, replace(AUGMENTED, several=True, by="augmentation")),
    wanted=_wanted,
    said=lambda counts: [", ".join(f"{number} {kind}" for kind, number in counts.items())],
    axes=("task", "teacher", "method"),
    target="benchmarks",
    warm=True,
    seconds=15,
)
