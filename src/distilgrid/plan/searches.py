"""The part of a plan that searches architectures: predictors of latency, supernets, searches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.planned import (
    CANDIDATE_FILES,
    LATENCY_FILES,
    SEARCH_FILES,
    SUPERNET_FILES,
    Artefact,
    Inputs,
    input_keys,
)
from distilgrid.plan.learners import Student
from distilgrid.plan.params import Params
from distilgrid.plan.recipes import Recipe, candidate_recipe, latency_recipe, search_recipe, supernet_recipe
from distilgrid.search.estimators.settings import SupernetSettings
from distilgrid.search.settings import Search
from distilgrid.search.space import AnySpace, load_space
from distilgrid.tasks.spec import find_task


@dataclass
class Searches:
    """Plans searches, each once, and what they need.

    Attributes:
        params: the grid's.
        taught: what candidates learn from, by the command's option, on a task, from a teacher, in a search.
        origin: the revision of the pretrained model behind a teacher.
        searches, supernets, predictors: what is planned, by folder.
    """

    params: Params
    taught: Callable[[str, str, Search], Inputs]
    origin: Callable[[str], str]
    searches: dict[str, Artefact] = field(default_factory=dict)
    supernets: dict[str, Artefact] = field(default_factory=dict)
    predictors: dict[str, Artefact] = field(default_factory=dict)
    _spaces: dict[str, AnySpace] = field(default_factory=dict)

    def of_student(self, cell: Mapping[str, Any], student: Student) -> Artefact:
        """The search that a student's shape comes from.

        Raises:
            UserError: when there is none, or it has no such seed or rank.
        """
        assert student.found is not None
        place, wanted = f"students.{cell['student']}.found", student.found
        settings = self.params.searches.get(wanted.search)
        if settings is None:
            hint = did_you_mean(wanted.search, self.params.searches)
            raise UserError(f"{place}.search: unknown search '{wanted.search}'; {hint}")
        if wanted.seed not in settings.seeds:
            raise UserError(f"{place}.seed: search '{wanted.search}' has the seeds {settings.seeds}; take one of them")
        if wanted.rank > settings.keep:
            raise UserError(f"{place}.rank: search '{wanted.search}' keeps {settings.keep}; raise its `keep`")
        return self.search(cell["task"], cell["teacher"], wanted.search, wanted.seed)

    def compared(self, task: str, teacher: str) -> None:
        """Plan those that the grid compares, if they suit the task."""
        if find_task(task, self.params.tasks).task_kind.tokenised:
            for name in self.params.grid.searches:
                for seed in self.params.searches[name].seeds:
                    self.search(task, teacher, name, seed)

    def search(self, task: str, teacher: str, name: str, seed: int) -> Artefact:
        """One search."""
        settings = self.params.searches[name]
        taught = self.taught(task, teacher, settings)
        if "teacher-outputs" not in taught:
            place = f"searches.{name}.estimator.method.teacher"
            raise UserError(f"{place}: a live teacher would be asked again for each candidate; set it to recorded")
        inputs: Inputs = {"data": taught["data"], "teacher-outputs": taught["teacher-outputs"]}
        if isinstance(settings.estimator, SupernetSettings):
            inputs["supernet"] = self._supernet(task, teacher, name, taught)
        elif settings.estimator.init == "finetuned":
            inputs["teacher-dir"] = taught["teacher-dir"]
        if settings.latency.source == "predicted":
            inputs["latency"] = self._predictor(settings)
        recipe = search_recipe(
            settings=settings,
            training=self.params.training,
            space=self._space(settings),
            conditions=settings.latency.conditions(self.params.benchmark),
            benchmark=self.params.benchmark,
            origin=self.origin(teacher),
            seed=seed,
            inputs=input_keys(inputs),
        )
        labels = {"task": task, "teacher": teacher, "search": name, "seed": seed}
        options = {axis: str(value) for axis, value in labels.items()}
        if self.params.resources.candidate_jobs:
            inputs = {**inputs, "after": self._candidates(settings, recipe, options, inputs, labels)}
        location = f"searches/{task}/{teacher}/{name}-seed-{seed}"
        made = Artefact("search", location, recipe, SEARCH_FILES, options, inputs, labels)
        return self.searches.setdefault(made.folder, made)

    def _candidates(
        self,
        settings: Search,
        recipe: Recipe,
        options: Mapping[str, str],
        inputs: Inputs,
        labels: Mapping[str, Any],
    ) -> list[Artefact]:
        """Those of the last episode, each made after all of the episode before; all of them know what a search does."""
        above = f"candidates/{labels['task']}/{labels['teacher']}/{labels['search']}-seed-{labels['seed']}"
        last: list[Artefact] = []
        for episode in range(settings.episodes):
            after = {**inputs, "after": last} if last else inputs
            numbered = [{"episode": episode, "number": number} for number in range(settings.candidates)]
            last = [
                Artefact(
                    "candidate",
                    f"{above}-episode-{episode}-{place['number']}",
                    candidate_recipe(recipe, **place),
                    CANDIDATE_FILES,
                    {**options, **{name: str(value) for name, value in place.items()}},
                    after,
                    {**labels, **place},
                )
                for place in numbered
            ]
        return last

    def _space(self, settings: Search) -> AnySpace:
        """Read, and its shapes listed, once for all searches in it."""
        if settings.space not in self._spaces:
            self._spaces[settings.space] = load_space(settings.space)
        return self._spaces[settings.space]

    def _supernet(self, task: str, teacher: str, name: str, inputs: Inputs) -> Artefact:
        """Known by what it is made from, whichever search asks first."""
        settings = self.params.searches[name]
        assert isinstance(settings.estimator, SupernetSettings)
        recipe = supernet_recipe(
            settings=settings.estimator,
            training=self.params.training,
            space=self._space(settings),
            origin=self.origin(teacher),
            inputs=input_keys(inputs),
        )
        labels = {"task": task, "teacher": teacher}
        options = {**labels, "search": name}
        location = f"supernets/{task}/{teacher}/supernet"
        made = Artefact("supernet", location, recipe, SUPERNET_FILES, options, inputs, labels)
        return self.supernets.setdefault(made.folder, made)

    def _predictor(self, settings: Search) -> Artefact:
        latency, space = settings.latency, self._space(settings)
        conditions = latency.conditions(self.params.benchmark)
        recipe = latency_recipe(
            space=space,
            conditions=conditions.as_dict(),
            settings=self.params.benchmark,
            counts=(latency.architectures, latency.held_out),
            seed=0,
        )
        options = {
            "space": settings.space,
            "runtime": latency.runtime,
            "device": latency.device,
            "architectures": str(latency.architectures),
            "held-out": str(latency.held_out),
        }
        unfused = "" if latency.fused else "-unfused"
        if unfused:
            options["unfused"] = ""
        labels = {"device": latency.device, "runtime": latency.runtime}
        location = f"latencies/{latency.device}/{latency.runtime}{unfused}"
        made = Artefact("latency", location, recipe, LATENCY_FILES, options, {}, labels)
        return self.predictors.setdefault(made.folder, made)


def supernet_of(search: Artefact, *, student: str) -> Artefact:
    """The supernet that a search asked, and as whose slice a student begins.

    Raises:
        UserError: when it asked none.
    """
    supernet = search.inputs.get("supernet")
    if not isinstance(supernet, Artefact):
        raise UserError(
            f"students.{student}.init: search '{search.labels['search']}' asks no supernet; set its estimator to one, "
            "or init to finetuned"
        )
    return supernet
