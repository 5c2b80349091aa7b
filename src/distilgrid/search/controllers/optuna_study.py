"""Search by Optuna (Akiba et al. 2019), with Parzen estimators (TPE) or NSGA-II."""

import logging
from collections.abc import Sequence
from random import Random

import optuna
from optuna.trial import Trial, TrialState

from distilgrid.core.fingerprint import derive_seed
from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.registry import Observation
from distilgrid.search.controllers.settings import Optuna
from distilgrid.search.decisions import Choice, Fits, SearchSpace, Untried, anything, walk

TRIALS = 20  # trials of Optuna for each candidate until one is new


class OptunaController:
    """Optuna's ask and tell in memory, each decision a parameter.

    Numbers are parameters by rank over the whole list, so that all trials share one space that Optuna can model and
    cross. A value that is not allowed becomes the nearest allowed one. Optuna is told the known values of repeated
    architectures. A proposal that does not fit is told as pruned, which Optuna counts as worse than every result.
    Where it proposes nothing new, a random architecture takes the place.
    """

    def __init__(self, space: SearchSpace, settings: Optuna, *, seed: int, fits: Fits = anything) -> None:
        self._space, self._settings, self._fits = space, settings, fits
        self._untried = Untried(space, Random(f"optuna/{seed}"), fits=fits)
        self._known: dict[Architecture, tuple[float, ...]] = {}
        self._open: dict[Architecture, Trial] = {}
        self._study = _study(settings, derive_seed(seed, "optuna") % 2**32)

    def ask(self, count: int) -> list[Architecture]:
        """New candidates."""
        for trial in self._open.values():  # without a result
            self._study.tell(trial, state=TrialState.FAIL)
        self._open = {}
        for _ in range(count * TRIALS):
            if len(self._open) < count:
                self._propose()
        while len(self._open) < count and (drawn := self._untried.draw()) is not None:
            self._study.enqueue_trial(self._parameters(drawn))
            self._propose()
        return list(self._open)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Tell Optuna the rewards; NSGA-II gets quality, less the penalty of a slow candidate, and latency."""
        both = self._settings.sampler == "nsga2"
        for seen in observations:
            values = (seen.quality - seen.penalty, seen.latency_ms) if both else (seen.reward,)
            self._known[seen.architecture] = values
            trial = self._open.pop(seen.architecture, None)
            if trial is not None:
                self._study.tell(trial, values)

    def _propose(self) -> None:
        """Run one trial: a new candidate, or a repetition that is told at once."""
        trial = self._study.ask()
        architecture = self._space.decode(walk(self._space, lambda _, choice: _suggest(trial, choice)))
        if architecture in self._known:
            self._study.tell(trial, self._known[architecture])
        elif architecture in self._open:
            self._study.tell(trial, state=TrialState.FAIL)
        elif not self._fits(architecture):
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._open[architecture] = trial
            self._untried.take(architecture)

    def _parameters(self, architecture: Architecture) -> dict[str, int | str]:
        places = self._space.encode(architecture)
        return {
            choice.name: _ranks(choice).index(place) if _ordered(choice) else choice.values[place]
            for choice, place in zip(self._space.choices, places, strict=False)
        }


def _study(settings: Optuna, seed: int) -> optuna.Study:
    sampler: optuna.samplers.BaseSampler
    if both := settings.sampler == "nsga2":
        sampler = optuna.samplers.NSGAIISampler(population_size=settings.population, seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(n_startup_trials=settings.startup, seed=seed)
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)  # else it announces each study
    study = optuna.create_study(directions=["maximize", "minimize"] if both else ["maximize"], sampler=sampler)
    logger.setLevel(level)
    return study


def _ordered(choice: Choice) -> bool:
    return all(isinstance(value, int) for value in choice.values)


def _ranks(choice: Choice) -> list[int]:
    """Places from the smallest value to the largest."""
    return sorted(range(len(choice.values)), key=lambda place: choice.values[place])


def _suggest(trial: Trial, choice: Choice) -> int:
    """Place that Optuna suggests, or the nearest allowed one."""
    if not _ordered(choice):
        wanted = choice.values.index(trial.suggest_categorical(choice.name, choice.values))
        return wanted if wanted in choice.allowed else choice.allowed[0]
    ranks = _ranks(choice)
    wanted = trial.suggest_int(choice.name, 0, len(ranks) - 1)
    return min(choice.allowed, key=lambda place: (abs(ranks.index(place) - wanted), ranks.index(place)))
