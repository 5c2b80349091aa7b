"""The reward predictor of KD-NAS (Trivedi et al. 2023)."""

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilgrid.core.fingerprint import derive_seed
from distilgrid.search.architecture import Architecture, Choice, SearchSpace
from distilgrid.search.controllers.settings import KDNAS

NOTHING = 0
"""Code of a missing decision, and of all decisions of a missing architecture."""


class RewardPredictor(nn.Module):
    """An LSTM over three architectures: the previous episode's best, the global best and a candidate.

    An architecture is the concatenation of its choices' embeddings; a linear layer maps the LSTM's last state to the
    reward. `choices` are the decisions of the longest architectures; shorter ones are padded.
    """

    def __init__(self, choices: Sequence[Choice], settings: KDNAS) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Embedding(len(choice.values) + 1, settings.embedding, padding_idx=NOTHING) for choice in choices
        )
        self.lstm = nn.LSTM(len(choices) * settings.embedding, settings.hidden, batch_first=True)
        self.reward = nn.Linear(settings.hidden, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Rewards (N) from the codes (N, 3, K) of each candidate and its two bests."""
        embedded = [embedding(codes[..., at]) for at, embedding in enumerate(self.embeddings)]
        states, _ = self.lstm(torch.cat(embedded, dim=-1))  # (N, 3, H)
        predicted: Tensor = self.reward(states[:, -1]).squeeze(-1)
        return predicted


class FittedPredictor:
    """The reward predictor with its optimiser, for architectures; `seed` decides weights and order of batches."""

    def __init__(self, space: SearchSpace, settings: KDNAS, *, seed: int) -> None:
        self._space, self._settings = space, settings
        self._order = Random(f"kd-nas/order/{seed}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "kd-nas/weights"))
            self.model = RewardPredictor(space.choices, settings)
        self._optimiser = torch.optim.RMSprop(self.model.parameters(), lr=settings.learning_rate)

    def inputs(self, bests: Sequence[Architecture | None], candidates: Sequence[Architecture]) -> Tensor:
        """Codes (N, 3, K) of candidates behind the previous and the global best, which may be missing."""
        known = [self._codes(best) for best in bests]
        return torch.tensor([[*known, self._codes(candidate)] for candidate in candidates])

    @torch.no_grad()
    def predict(self, bests: Sequence[Architecture | None], candidates: Sequence[Architecture]) -> list[float]:
        """Predicted rewards of candidates."""
        rewards: list[float] = self.model(self.inputs(bests, candidates)).tolist()
        return rewards

    def fit(self, bests: Sequence[Architecture | None], rewards: Sequence[tuple[Architecture, float]]) -> None:
        """Train on observed rewards, by mean squared error."""
        codes = self.inputs(bests, [architecture for architecture, _ in rewards])
        targets = torch.tensor([reward for _, reward in rewards], dtype=torch.float32)
        for _ in range(self._settings.epochs):
            order = torch.tensor(self._order.sample(range(len(rewards)), len(rewards)))
            for rows in order.split(self._settings.batch_size):
                self._optimiser.zero_grad()
                F.mse_loss(self.model(codes[rows]), targets[rows]).backward()
                self._optimiser.step()

    def _codes(self, architecture: Architecture | None) -> list[int]:
        places = () if architecture is None else self._space.encode(architecture)
        return [place + 1 for place in places] + [NOTHING] * (len(self._space.choices) - len(places))
