"""Recipes: everything that decides an artefact's content, as plain values. Planner and stages build them here alike.

A stage builds its recipe from its settings and from the keys that its inputs carry, the planner from the keys that it
planned; `artefacts.writing` refuses a folder that is named after another recipe.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distilgrid.methods.finetune.declare import Finetune
from distilgrid.runtimes.registry import find_runtime
from distilgrid.search.controllers.registry import CONTROLLERS
from distilgrid.search.estimators.registry import VERSIONS as ESTIMATORS
from distilgrid.tasks.spec import DESCRIPTIVE, foreign_fields

if TYPE_CHECKING:
    from distilgrid.augmentation.base import Added
    from distilgrid.benchmark.settings import Benchmark, Export
    from distilgrid.methods.base import BaseMethod
    from distilgrid.models.settings import Student
    from distilgrid.plan.features_settings import Features
    from distilgrid.search.conditions import Conditions
    from distilgrid.search.estimators.settings import EstimatorSettings, SupernetSettings
    from distilgrid.search.settings import Search
    from distilgrid.search.space import AnySpace
    from distilgrid.signals.base import Asked, Signal
    from distilgrid.signals.mixed.settings import Mixup
    from distilgrid.tasks.settings import Data
    from distilgrid.tasks.spec import TaskSpec
    from distilgrid.training.settings import Training

Recipe = dict[str, Any]

# Declared versions: bump one when the stage's results may change; it and all that follows is then recomputed.
VERSIONS = {
    "prepare": 1,
    "augment": 1,
    "finetune": 3,
    "record": 2,
    "distill": 3,
    "export": 4,
    "benchmark": 5,
    "latency": 2,
    "supernet": 1,
    "candidate": 1,
    "search": 1,
    "features": 1,
    "report": 6,
}


def _recipe(stage: str, **parts: Any) -> Recipe:
    return {"stage": stage, "version": VERSIONS[stage], **parts}


def prepare_recipe(*, spec: "TaskSpec", revision: str, data: "Data") -> Recipe:
    """Prepared data: the task spec, the source's revision, and how rows are split. Not the path of a user's file."""
    hidden = {"source", "validation_source"} if spec.own_file else {"validation_source"}
    hidden |= DESCRIPTIVE.union(foreign_fields(spec.task_kind))
    places = {"glue_dir", "cifar_dir"} | (set() if data.max_validation_rows else {"max_validation_rows"})
    return _recipe(
        "prepare", spec=spec.model_dump(exclude=hidden), revision=revision, data=data.model_dump(exclude=places)
    )


def finetune_recipe(*, model: str, training: "Training", seed: int, data: str, fraction: float = 1.0) -> Recipe:
    """A fine-tuned teacher: the model's revision, the training settings, the seed, the data's key, which rows of it."""
    return _recipe(
        "finetune",
        method=Finetune.version,
        model=model,
        training=training.model_dump(),
        seed=seed,
        inputs={"data": data},
        **({"fraction": fraction} if fraction < 1 else {}),
    )


def record_recipe(signal: "Signal", asked: "Asked") -> Recipe:
    """Recorded teacher outputs: the signal, and what it is asked about."""
    return _recipe("record", **signal.recipe(asked))


def augment_recipe(
    *,
    settings: "Added",
    models: Sequence[str],
    texts: Sequence[Mapping[str, Any]] = (),
    fraction: float,
    inputs: Mapping[str, str],
) -> Recipe:
    """Augmented rows: the settings and the code's version, models' revisions, what unlabelled texts follow from, which
    rows, the inputs' keys."""
    lent = {"texts": [dict(each) for each in texts]} if texts else {}
    return _recipe(
        "augment",
        settings=settings.recipe(),
        models=list(models),
        fraction=fraction,
        inputs=dict(inputs),
        **lent,
    )


def distill_recipe(
    *,
    method: "BaseMethod",
    student: "Student",
    origin: str,
    training: "Training",
    augmentation: str,
    fraction: float,
    seed: int,
    inputs: Mapping[str, str],
) -> Recipe:
    """A student cell: the method and its declared version, the student, its origin's revision, its inputs' keys."""
    return _recipe(
        "distill",
        method=method.recipe(),
        student=_student(student),
        origin=origin,
        training=training.model_dump(),
        augmentation=augmentation,
        fraction=fraction,
        seed=seed,
        inputs=dict(inputs),
    )


def _student(student: "Student") -> Recipe:
    """What decides a student as it begins; settings that came later are there where they are used."""
    values = student.model_dump(exclude={"source", "training"})
    usual = {"inherit": "leading", "inherit_layers": "first", "found": None}
    kept = {name: value for name, value in values.items() if name not in usual or value != usual[name]}
    if student.found is not None:
        kept["found"] = {"rank": student.found.rank}  # the search is an input
    if student.architecture is not None:
        later = ("hidden_act", "hidden_sizes", "intermediate_sizes")
        unset = {name for name in later if getattr(student.architecture, name) is None}
        kept["architecture"] = student.architecture.model_dump(exclude=unset)
    return kept


def export_recipe(*, runtime: str, settings: "Export", data: str, model: str) -> Recipe:
    """An export: the runtime, its parity gate's limits, the keys of the validation data and of the model."""
    limits = {"tolerance": settings.tolerance}
    limits |= {} if find_runtime(runtime).exact else {"agreement": settings.agreement}
    return _recipe("export", runtime=runtime, **limits, inputs={"data": data, "model": model})


def benchmark_recipe(
    *, settings: "Benchmark", device: Mapping[str, Any], models: Sequence[str], exports: Sequence[str], data: str | None
) -> Recipe:
    """A latency run: the protocol, the device, the keys of models and exports in the order of the candidates, and that
    of the data whose texts are measured."""
    inputs: dict[str, Any] = {"model": list(models), "export": list(exports)}
    protocol = _protocol(settings, "devices")
    inputs |= {"data": data} if data else {}
    return _recipe("benchmark", protocol=protocol, device=dict(device), inputs=inputs)


def _protocol(settings: "Benchmark", *without: str) -> Recipe:
    """The latency protocol without what does not count, and without cores where none are named: they came later."""
    return settings.model_dump(exclude={*without, *(() if settings.cores else ("cores",))})


def latency_recipe(
    *,
    space: "AnySpace",
    conditions: Mapping[str, Any],
    settings: "Benchmark",
    counts: tuple[int, int],
    seed: int,
) -> Recipe:
    """A latency predictor: the space, what is measured and how, how many shapes are fitted and held out."""
    protocol = _protocol(settings, "devices", "runtimes", "batch_sizes", "lengths", "texts")
    drawn = {"fitted": counts[0], "held_out": counts[1], "seed": seed}
    return _recipe("latency", space=space.model_dump(), conditions=dict(conditions), protocol=protocol, **drawn)


def supernet_recipe(
    *, settings: "SupernetSettings", training: "Training", space: "AnySpace", origin: str, inputs: Mapping[str, Any]
) -> Recipe:
    """A supernet: its training, the space that it holds, the pretrained model's revision, the inputs' keys."""
    estimated = estimate_recipe(settings=settings, training=training, origin=origin, inputs=inputs)
    return _recipe("supernet", space=space.model_dump(), **estimated)


def estimate_recipe(
    *, settings: "EstimatorSettings", training: "Training", origin: str, inputs: Mapping[str, Any]
) -> Recipe:
    """What decides the estimate of an architecture beside itself: an estimator, a model to inherit from, what is
    learned from."""
    own = settings.model_dump(exclude={"training", "epochs", "learning_rate", "batch_size"})
    estimator = {**own, "training": settings.trained(training).model_dump(), "version": ESTIMATORS[settings.kind]}
    return {"estimator": estimator, "origin": origin, "inputs": dict(inputs)}


def search_recipe(
    *,
    settings: "Search",
    training: "Training",
    space: "AnySpace",
    conditions: "Conditions",
    benchmark: "Benchmark",
    origin: str,
    seed: int,
    inputs: Mapping[str, Any],
) -> Recipe:
    """A search of architectures: what proposes, what estimates, what is measured and how, the seed, the inputs."""
    estimate = estimate_recipe(settings=settings.estimator, training=training, origin=origin, inputs=inputs)
    measured = settings.latency.source == "measured"
    protocol = _protocol(benchmark, "devices", "runtimes", "batch_sizes", "lengths", "texts")
    kept = settings.model_dump(include={"reward", "episodes", "candidates", "keep", "max_latency", "max_latency_share"})
    controller = settings.controller.model_dump() | {"version": CONTROLLERS[settings.controller.kind].version}
    latency = {
        **conditions.as_dict(),
        "source": settings.latency.source,
        **({"protocol": protocol} if measured else {}),
    }
    return _recipe(
        "search", **estimate, **kept, controller=controller, latency=latency, space=space.model_dump(), seed=seed
    )


def candidate_recipe(search: Recipe, *, episode: int, number: int) -> Recipe:
    """One candidate of a search: the search's recipe, and its place there, both numbers counted from 0."""
    return _recipe("candidate", search=search, episode=episode, number=number)


def features_recipe(
    *,
    settings: "Features",
    mixup: "Mixup",
    training: "Training",
    max_length: int,
    fraction: float,
    data: str,
    teacher: str,
    augmented: Mapping[str, str],
) -> Recipe:
    """A teacher's features: how many rows and which, how they are mixed and projected, the inputs' keys.

    Augmented rows are known by name, too: the names are in the files.
    """
    return _recipe(
        "features",
        settings=settings.model_dump(exclude={"method"}),
        mixup=mixup.model_dump(),
        batches=training.model_dump(include={"batch_size", "batching"}),
        max_length=max_length,
        fraction=fraction,
        inputs={"data": data, "teacher-dir": teacher, "augmented": dict(augmented)},
    )
