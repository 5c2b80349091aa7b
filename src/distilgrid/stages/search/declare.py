"""The stage `search`: architectures of students, proposed, estimated and timed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.planned import Artefact, Inputs
from distilgrid.core.stage import Input, Keys, Place, Recipe, Stage, passes
from distilgrid.models.source import model_revision
from distilgrid.stages.common import CONTROLLER_SEED, DATA, OUTPUTS, SEARCH, TASK, TEACHER, TEACHER_DIR, refuse_unread

if TYPE_CHECKING:
    from distilgrid.benchmark.settings import Benchmark
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.search.settings import Search
    from distilgrid.search.space import AnySpace
    from distilgrid.training.settings import Training


@dataclass(frozen=True)
class SearchStageSettings:
    """Settings of a search, of one of its candidates, or of its supernet."""

    search: "Search"  # what proposes, what estimates, what is kept
    space: "AnySpace"  # where it looks
    benchmark: "Benchmark"  # the protocol of measured latencies
    origin: str  # source of the pretrained model behind the teacher
    seed: int  # of the controller
    training: "Training"  # the common training settings
    episode: int = 0  # of a candidate, counted from 0
    number: int = 0  # of a candidate among those of its episode, counted from 0
    # longest input of the teacher, in tokens, which recordings are compared with; () takes any
    teacher_lengths: tuple[int, ...] = ()

    def estimate(self, inputs: Keys) -> Recipe:
        """Everything that decides an estimate, apart from the architecture."""
        from distilgrid.search.estimators.registry import estimate_recipe

        own, origin = self.search.estimator, model_revision(self.origin)
        return estimate_recipe(settings=own, training=self.training, origin=origin, inputs=inputs)


def _settings(params: "Params", options: Mapping[str, Any]) -> SearchStageSettings:
    from distilgrid.plan.names import named, teacher_length
    from distilgrid.plan.params import known_space

    search = named(params.searches, options["search"], kind="search")
    return SearchStageSettings(
        search=search,
        space=known_space(params, search.space),
        benchmark=params.benchmark,
        origin=named(params.teachers, options["teacher"], kind="teacher").source,
        seed=options.get("seed", 0),
        training=params.training,
        teacher_lengths=(teacher_length(params, options["teacher"]),),
        **{name: options[name] for name in ("episode", "number") if name in options},
    )


def _recipe(chosen: SearchStageSettings, keys: Keys) -> Recipe:
    """The controller, the estimator, the latency protocol, the space and the seed."""
    from distilgrid.search.controllers.registry import CONTROLLERS

    own = chosen.search
    asks, starts = own.estimator.kind == "supernet", getattr(own.estimator, "init", "") == "finetuned"
    unread = {
        "supernet": (not asks, f"the estimator '{own.estimator.kind}' asks no supernet;"),
        "teacher-dir": (asks or not starts, "no candidate begins as the teacher;"),
        "latency": (own.latency.source != "predicted", f"latencies are {own.latency.source};"),
    }
    refuse_unread(unread, keys)
    limits = {"max_latency", "max_latency_share", "max_size_share", "limit_penalty"}
    kept = {"reward", "episodes", "candidates", "keep"} | limits
    measured = own.latency.source == "measured"
    return {
        **chosen.estimate(keys),
        **own.model_dump(include=kept),
        "controller": own.controller.model_dump() | {"version": CONTROLLERS[own.controller.kind].version},
        "latency": {
            **own.latency.conditions(chosen.benchmark).as_dict(),
            "source": own.latency.source,
            "protocol": chosen.benchmark.of_shapes() if measured else None,
        },
        "space": chosen.space.model_dump(),
        "seed": chosen.seed,
    }


def measures(made: Mapping[str, Any]) -> bool:
    """Whether a search times architectures itself, so that other jobs would disturb it."""
    return bool(made["latency"]["source"] == "measured")


def lacks(made: Mapping[str, Any]) -> Iterable[str]:
    """Packages of the controller, and of the runtime of a search that measures, that are not installed."""
    from distilgrid.runtimes import registry as runtimes
    from distilgrid.search.controllers import registry as controllers

    yield from controllers.lacking(made["controller"]["kind"])
    if measures(made):
        yield from runtimes.lacking(made["latency"]["runtime"])


def place(chosen: SearchStageSettings, given: Mapping[str, Any]) -> Place:
    """Where estimates compute, or latencies are measured on a GPU. A search after its candidates estimates nothing."""
    latency = chosen.search.latency
    if latency.source == "measured" and latency.conditions(chosen.benchmark).processor == "cuda":
        return "cuda"
    return "cpu" if given.get("after") else "asked"


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """One search of a task, a teacher and a seed; its candidates come first where they are jobs."""
    inputs = inputs_of(planner, names)
    if planner.params.resources.candidate_jobs:
        inputs["after"] = episode_of(planner, names, planner.params.searches[names["search"]].episodes - 1)
    return planner.made("search", names, inputs, place="{task}/{teacher}/{search}-seed-{seed}".format(**names))


def episode_of(planner: "Planner", names: Mapping[str, Any], episode: int) -> list[Artefact]:
    """All candidates of an episode of a search."""
    numbers = range(planner.params.searches[names["search"]].candidates)
    return [planner.ask("candidate", **{**names, "episode": episode, "number": number}) for number in numbers]


def inputs_of(planner: "Planner", names: Mapping[str, Any]) -> Inputs:
    """Inputs of a search and its candidates.

    Raises:
        UserError: when candidates would ask a live teacher.
    """
    task, teacher, name = names["task"], names["teacher"], names["search"]
    search, taught = planner.params.searches[name], planner.taught(task, teacher, name)
    if "teacher-outputs" not in taught:
        place = f"searches.{name}.estimator.method.teacher"
        raise UserError(f"{place}: a live teacher would be asked again for each candidate; set it to recorded")
    inputs: Inputs = {"data": taught["data"], "teacher-outputs": taught["teacher-outputs"]}
    if search.estimator.kind == "supernet":
        inputs["supernet"] = planner.ask("supernet", task=task, teacher=teacher, search=name)
    elif search.estimator.init == "finetuned":
        inputs["teacher-dir"] = taught["teacher-dir"]
    if search.latency.source == "predicted":
        inputs["latency"] = planner.ask("latency", search=name)
    return inputs


def _wanted(planner: "Planner") -> Iterable[Artefact]:
    """The searches that the grid compares, for the tasks that they suit."""
    for task, teacher in dict.fromkeys((cell["task"], name) for cell in planner.cells for name in cell["teachers"]):
        for name in planner.params.grid.searches if planner.of_texts(task) else ():
            for seed in (*planner.params.searches[name].seeds, *_replicated(planner.params, task, teacher, name)):
                yield planner.ask("search", task=task, teacher=teacher, search=name, seed=seed)


def _replicated(params: "Params", task: str, teacher: str, search: str) -> Iterable[int]:
    """Seeds that a search has beyond its own."""
    for more in params.grid.replications:
        if (more.task, more.teacher, more.search) == (task, teacher, search):
            yield from more.seeds


SLICE = 0.3  # units of work of a slice of a supernet, most of it for scores on dev


def estimated(made: Mapping[str, Any], rows: float) -> float:
    """Units of work of an estimator's training: thousands of rows, each as often as it is seen."""
    return passes(made["estimator"], rows) * float(made["estimator"]["share"])


def of_candidate(made: Mapping[str, Any], rows: float) -> float:
    """Units of work of one candidate of a search."""
    return SLICE if made["estimator"]["kind"] == "supernet" else estimated(made, rows)


def _trials(made: Mapping[str, Any]) -> int:
    return int(made["episodes"] * made["candidates"])


def _shared(made: Mapping[str, Any]) -> tuple[str, float] | None:
    """Searches of a space by one estimator share its findings, which are few where the space is small."""
    from distilgrid.search.space import Space

    if made["space"].get("kind", "homogeneous") != "homogeneous":
        return None
    name = recipe_key({part: made[part] for part in ("space", "estimator", "inputs")})
    return name, len(Space.model_validate(made["space"]).shapes) / _trials(made)


SOURCES = (
    DATA,
    replace(OUTPUTS, required=False, several=True),
    replace(TEACHER_DIR, required=False),
    Input("supernet", "A folder made by `supernet`, for such an estimator.", ("supernet",), required=False),
    Input("latency", "A folder made by `latency`, for predicted latencies.", ("latency",), required=False),
    Input(
        "after",
        "Each candidate of the previous episode: a folder made by `candidate`.",
        ("candidate",),
        required=False,
        several=True,
        counts=False,
    ),
)

STAGE = Stage(
    name="search",
    version=2,
    folder="searches",
    files=("trials.parquet", "best.json", "search.json", "run.json"),
    summary="Search for architectures of students.",
    message="searching",
    example="--task docs-topic --teacher minilm-l6 --search kd-nas --data work/data "
    "--teacher-dir work/teacher --teacher-outputs work/outputs --grid grids/docs_mini.yaml --out work/search",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(TASK, TEACHER, SEARCH, CONTROLLER_SEED),
    inputs=SOURCES,
    wanted=_wanted,
    said=lambda found: [
        f"{one['rank']}. {one['name']}: reward {one['reward']:.4f}, {one['latency_ms']:.2f} ms" for one in found
    ],
    axes=("task", "teacher", "search", "seed"),
    target="searches",
    declared=("search/controllers/registry.py", "search/estimators/registry.py"),
    exclusive=measures,
    lacks=lacks,
    place=place,
    seconds=5,  # measured on SST-2: 7 for a candidate that sees a fifth of 8,000 rows
    units=lambda made, rows: _trials(made) * of_candidate(made, rows),
    done_by="after",
    shared=_shared,
)
