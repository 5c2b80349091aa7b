"""The part of a plan that shows what a teacher makes of the rows: points of a scatter plot, where it is wanted."""

from collections.abc import Iterator, Sequence

from distilgrid.core.errors import UserError
from distilgrid.core.planned import FEATURES_FILES, Artefact, Inputs, listed
from distilgrid.plan.features_settings import KINDS, mixing_method
from distilgrid.plan.params import Params, effective_training
from distilgrid.plan.recipes import features_recipe
from distilgrid.tasks.spec import find_task


def plan_features(params: Params, teachers: Sequence[Artefact], students: Sequence[Artefact]) -> Iterator[Artefact]:
    """One for each of the teachers that read texts; none where the report wants none.

    Args:
        params: the grid's.
        teachers: one for each task and name.
        students: all cells: they know the data and the augmented rows.

    Raises:
        UserError: when an augmentation is named as another kind of row.
    """
    settings = params.report.features
    if settings is None:
        return
    if taken := KINDS & set(params.grid.augmentations):
        raise UserError(f"augmentations: '{min(taken)}' names other rows in the plot of features; choose another name")
    name, mixup = mixing_method(settings, params.grid.methods, params.methods)
    fraction = max(params.grid.fractions)
    texts = [teacher for teacher in teachers if find_task(teacher.labels["task"], params.tasks).task_kind.tokenised]
    for teacher in texts:
        task, model = teacher.labels["task"], teacher.labels["teacher"]
        augmented = _augmented(teacher, students, fraction)
        inputs: Inputs = {"data": listed(teacher.inputs["data"])[0], "teacher-dir": teacher}
        if augmented:
            inputs["augmented"] = list(augmented.values())
        recipe = features_recipe(
            settings=settings,
            mixup=mixup,
            training=effective_training(params, params.methods[name].training),
            max_length=effective_training(params, params.teachers[model].training).max_length,
            fraction=fraction,
            data=listed(inputs["data"])[0].key,
            teacher=teacher.key,
            augmented={name: rows.key for name, rows in augmented.items()},
        )
        options = {"task": task, "teacher": model, "method": name, "fraction": str(fraction)}
        labels = {"task": task, "teacher": model, "method": name}
        location = f"features/{task}/{model}/features"
        yield Artefact("features", location, recipe, FEATURES_FILES, options, inputs, labels)


def _augmented(teacher: Artefact, students: Sequence[Artefact], fraction: float) -> dict[str, Artefact]:
    """The augmented rows of a teacher's students, by the augmentation's name."""
    wanted = {"task": teacher.labels["task"], "teacher": teacher.labels["teacher"], "fraction": fraction}
    found: dict[str, Artefact] = {}
    for student in students:
        if "augmented" in student.inputs and wanted.items() <= student.labels.items():
            found.setdefault(student.labels["augmentation"], listed(student.inputs["augmented"])[0])
    return found
