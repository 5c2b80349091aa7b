"""The stage `candidate`: one candidate of a search, so that those of an episode can be jobs side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Keys, Option, Recipe, Stage
from distilgrid.stages.common import CONTROLLER_SEED, SEARCH, TASK, TEACHER
from distilgrid.stages.search.declare import (
    SOURCES,
    SearchStageSettings,
    episode_of,
    inputs_of,
    lacks,
    measures,
    of_candidate,
    place,
)
from distilgrid.stages.search.declare import STAGE as SEARCHES

if TYPE_CHECKING:
    from distilgrid.plan.planner import Planner
    from distilgrid.search.loop import Finding


def _recipe(chosen: SearchStageSettings, keys: Keys) -> Recipe:
    """The search's recipe, and the place in it."""
    own = chosen.search
    for option, value, count in (("episode", chosen.episode, own.episodes), ("number", chosen.number, own.candidates)):
        if not 0 <= value < count:
            raise UserError(f"--{option} {value}: the search has {count}, counted from 0")
    return {"search": SEARCHES.made_from(chosen, keys), "episode": chosen.episode, "number": chosen.number}


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """One candidate, made after all candidates of the previous episode."""
    inputs, episode = inputs_of(planner, names), names["episode"]
    if episode:
        inputs["after"] = episode_of(planner, names, episode - 1)
    where = "{task}/{teacher}/{search}-seed-{seed}-episode-{episode}-{number}".format(**names)
    return planner.made("candidate", names, inputs, place=where)


def _said(one: "Finding | None") -> list[str]:
    """The finding, or that the episode has fewer candidates than are planned."""
    if one is None:
        return ["nothing to try: fewer candidates proposed than planned"]
    return [f"score {one.score:.4f}, loss {one.loss:.4f}, {one.latency_ms:.2f} ms, {one.seconds:.1f} s"]


STAGE = Stage(
    name="candidate",
    version=2,
    folder="candidates",
    files=("finding.json", "run.json"),
    summary="Evaluate one candidate of a search.",
    message="trying",
    example="--task docs-topic --teacher minilm-l6 --search kd-nas --episode 0 --number 3 "
    "--data work/data --teacher-dir work/teacher --teacher-outputs work/outputs --grid grids/docs_mini.yaml "
    "--out work/candidates/0-3",
    settings=SEARCHES.settings,
    recipe=_recipe,
    plan=_plan,
    options=(
        TASK,
        TEACHER,
        SEARCH,
        Option("episode", "Of the search, counted from 0.", int, low=0),
        Option("number", "Of the candidate in its episode, counted from 0.", int, low=0),
        CONTROLLER_SEED,
    ),
    inputs=SOURCES,
    said=_said,
    axes=("task", "teacher", "search", "seed", "episode", "number"),
    target="searches",
    declared=SEARCHES.declared,
    exclusive=lambda made: measures(made["search"]),
    lacks=lambda made: lacks(made["search"]),
    place=lambda own, _: place(own, {}),  # it estimates itself, whatever came before
    seconds=SEARCHES.seconds,
    units=lambda made, rows: of_candidate(made["search"], rows),
)
