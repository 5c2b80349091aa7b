"""KD-NAS (Trivedi et al. 2023, "Neural Architecture Search for Effective Teacher-Student Knowledge Transfer in
Language Models"): candidates are random or the best predicted ones, and their rewards train the predictor."""

from collections.abc import Sequence
from random import Random
from statistics import fmean, pstdev

from distilgrid.search.architecture import Architecture, SearchSpace
from distilgrid.search.controllers.base import Observation
from distilgrid.search.controllers.kd_nas_predictor import FittedPredictor
from distilgrid.search.controllers.settings import KDNAS
from distilgrid.search.drawing import Untried


class KDNASController:
    """Proposes epsilon * N random architectures and the N - epsilon * N best predicted of a random pool.

    Epsilon falls with each episode. Chance rounds epsilon * N to a whole number, so that it holds on average. At the
    end of an episode the predictor learns the episode's candidates, the global best and the previous episode's best.
    All of them come behind the two bests of the episode's predictions.
    """

    def __init__(self, space: SearchSpace, settings: KDNAS, *, seed: int) -> None:
        self._space, self._settings = space, settings
        self._random = Random(f"kd-nas/{seed}")
        self._predictor = FittedPredictor(space, settings, seed=seed)
        self._episode = 0
        self._known: dict[Architecture, Observation] = {}
        self._previous: Observation | None = None

    @property
    def epsilon(self) -> float:
        """Share of random candidates in the next episode."""
        falling = self._settings.epsilon - self._episode * self._settings.epsilon_step
        return max(self._settings.epsilon_floor, falling)

    def ask(self, count: int) -> list[Architecture]:
        """Candidates of an episode: random ones, then the best predicted in falling order."""
        untried = self._untried()
        drawn = untried.several(int(self.epsilon * count + self._random.random()))
        pool = untried.several(max(self._settings.pool, count) if len(drawn) < count else 0)
        predicted = self._predictor.predict(self._bests(), pool) if pool else []
        order = sorted(range(len(pool)), key=lambda at: -predicted[at])
        return drawn + [pool[at] for at in order[: count - len(drawn)]]

    def tell(self, observations: Sequence[Observation]) -> None:
        """Train the predictor on the episode's rewards and begin the next episode."""
        if not observations:
            return
        bests = [seen for seen in (self._global_best(), self._previous) if seen is not None]
        told = {seen.architecture: seen for seen in (*bests, *observations)}
        known = self._known | told
        rows = (known if self._settings.memory == "all" else told).values()
        centre, scale = self._scale([seen.reward for seen in known.values()])
        self._predictor.fit(self._bests(), [(seen.architecture, (seen.reward - centre) / scale) for seen in rows])
        self._known = known
        self._previous = max(observations, key=lambda seen: seen.reward)
        self._episode += 1

    def _scale(self, rewards: Sequence[float]) -> tuple[float, float]:
        """Centre and scale of targets."""
        if self._settings.targets == "rewards":
            return 0.0, 1.0
        return fmean(rewards), pstdev(rewards) or 1.0

    def _untried(self) -> Untried:
        """Architectures that an episode draws from."""
        untried = Untried(self._space, self._random)
        for architecture in () if self._settings.repeats else self._known:
            untried.take(architecture)
        return untried

    def _global_best(self) -> Observation | None:
        return max(self._known.values(), key=lambda seen: seen.reward, default=None)

    def _bests(self) -> tuple[Architecture | None, Architecture | None]:
        """The previous episode's best and the global best, which precede a candidate in the predictor's input."""
        previous, best = (seen.architecture if seen else None for seen in (self._previous, self._global_best()))
        return previous, best
