"""KD-NAS (Trivedi et al. 2023, "Neural Architecture Search for Effective Teacher-Student Knowledge Transfer in
Language Models"): candidates are random or the best predicted ones, and their rewards train the predictor."""

from collections.abc import Sequence
from random import Random
from statistics import fmean, pstdev

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilgrid.core.fingerprint import derive_seed
from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.registry import Observation
from distilgrid.search.controllers.settings import KDNAS
from distilgrid.search.decisions import Fits, SearchSpace, Untried, anything

NOTHING = 0
"""Code of a missing decision, and of all decisions of a missing architecture."""


class RewardPredictor(nn.Module):
    """An LSTM over three architectures: the previous episode's best, the global best and a candidate.

    An architecture is the concatenation of its choices' embeddings; a linear layer maps the LSTM's last state to the
    reward. Shorter architectures are padded. `seed` decides weights and order of batches.
    """

    def __init__(self, space: SearchSpace, settings: KDNAS, *, seed: int) -> None:
        super().__init__()
        self._space, self._settings = space, settings
        self._order = Random(f"kd-nas/order/{seed}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "kd-nas/weights"))
            self.embeddings = nn.ModuleList(
                nn.Embedding(len(each.values) + 1, settings.embedding, padding_idx=NOTHING) for each in space.choices
            )
            self.lstm = nn.LSTM(len(space.choices) * settings.embedding, settings.hidden, batch_first=True)
            self.reward = nn.Linear(settings.hidden, 1)
        self._optimiser = torch.optim.RMSprop(self.parameters(), lr=settings.learning_rate)

    def forward(self, codes: Tensor) -> Tensor:
        """Rewards (N) from the codes (N, 3, K) of each candidate and its two bests."""
        embedded = [embedding(codes[..., at]) for at, embedding in enumerate(self.embeddings)]
        states, _ = self.lstm(torch.cat(embedded, dim=-1))  # (N, 3, H)
        predicted: Tensor = self.reward(states[:, -1]).squeeze(-1)
        return predicted

    def inputs(self, bests: Sequence[Architecture | None], candidates: Sequence[Architecture]) -> Tensor:
        """Codes (N, 3, K) of candidates behind the previous and the global best, which may be missing."""
        known = [self._codes(best) for best in bests]
        return torch.tensor([[*known, self._codes(candidate)] for candidate in candidates])

    @torch.no_grad()
    def predict(self, bests: Sequence[Architecture | None], candidates: Sequence[Architecture]) -> list[float]:
        """Predicted rewards of candidates."""
        rewards: list[float] = self(self.inputs(bests, candidates)).tolist()
        return rewards

    def fit(self, bests: Sequence[Architecture | None], rewards: Sequence[tuple[Architecture, float]]) -> None:
        """Train on observed rewards, by mean squared error."""
        codes = self.inputs(bests, [architecture for architecture, _ in rewards])
        targets = torch.tensor([reward for _, reward in rewards], dtype=torch.float32)
        for _ in range(self._settings.epochs):
            order = torch.tensor(self._order.sample(range(len(rewards)), len(rewards)))
            for rows in order.split(self._settings.batch_size):
                self._optimiser.zero_grad()
                F.mse_loss(self(codes[rows]), targets[rows]).backward()
                self._optimiser.step()

    def _codes(self, architecture: Architecture | None) -> list[int]:
        places = () if architecture is None else self._space.encode(architecture)
        return [place + 1 for place in places] + [NOTHING] * (len(self._space.choices) - len(places))


class KDNASController:
    """Proposes epsilon * N random architectures and the N - epsilon * N best predicted of a random pool.

    Epsilon falls with each episode. Chance rounds epsilon * N to a whole number, so that it holds on average. At the
    end of an episode the predictor learns the episode's candidates, the global best and the previous episode's best.
    All of them come behind the two bests of the episode's predictions.
    """

    def __init__(self, space: SearchSpace, settings: KDNAS, *, seed: int, fits: Fits = anything) -> None:
        self._space, self._settings, self._fits = space, settings, fits
        self._random = Random(f"kd-nas/{seed}")
        self._predictor = RewardPredictor(space, settings, seed=seed)
        self._episode = 0
        self._known: dict[Architecture, Observation] = {}
        self._previous: Observation | None = None  # best of the previous episode
        self._best: Observation | None = None

    @property
    def epsilon(self) -> float:
        """Share of random candidates in the next episode."""
        falling = self._settings.epsilon - self._episode * self._settings.epsilon_step
        return max(self._settings.epsilon_floor, falling)

    def ask(self, count: int) -> list[Architecture]:
        """Candidates of an episode: random ones, then the best predicted in falling order."""
        untried = Untried(self._space, self._random, fits=self._fits)
        for architecture in () if self._settings.repeats else self._known:
            untried.take(architecture)
        drawn = untried.several(int(self.epsilon * count + self._random.random()))
        pool = untried.several(max(self._settings.pool, count) if len(drawn) < count else 0)
        predicted = self._predictor.predict(self._bests(), pool) if pool else []
        order = sorted(range(len(pool)), key=lambda at: -predicted[at])
        return drawn + [pool[at] for at in order[: count - len(drawn)]]

    def tell(self, observations: Sequence[Observation]) -> None:
        """Train the predictor on the episode's rewards and begin the next episode."""
        if not observations:
            return
        bests = [seen for seen in (self._best, self._previous) if seen is not None]
        told = {seen.architecture: seen for seen in (*bests, *observations)}
        self._known |= told
        rows = (self._known if self._settings.memory == "all" else told).values()
        rewards, raw = [seen.reward for seen in self._known.values()], self._settings.targets == "rewards"
        centre, scale = (0.0, 1.0) if raw else (fmean(rewards), pstdev(rewards) or 1.0)
        self._predictor.fit(self._bests(), [(seen.architecture, (seen.reward - centre) / scale) for seen in rows])
        self._best = max(self._known.values(), key=lambda seen: seen.reward)
        self._previous = max(observations, key=lambda seen: seen.reward)
        self._episode += 1

    def _bests(self) -> tuple[Architecture | None, ...]:
        """The previous episode's best and the global best, which precede a candidate in the predictor's input."""
        return tuple(seen.architecture if seen else None for seen in (self._previous, self._best))
