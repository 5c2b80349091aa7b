"""The recurrent policy of compiler-aware search (Niu et al. 2020)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distilgrid.search.architecture import Choice, SearchSpace

Hold = Callable[[Choice, int], int | None]
"""Place at which a decision is held, by the decision and its number (from 0); None where the policy decides."""
Pick = Callable[[int, Tensor], int]
"""Place of a decision, by its number and its log-probabilities (V)."""


@dataclass(frozen=True)
class Decisions:
    """One architecture as the policy sees it."""

    places: tuple[int, ...]
    log_probability: Tensor  # log pi(a) = sum over decisions of log pi(a_t | a_<t), without held ones: a scalar
    entropy: Tensor  # sum over the same decisions of the entropies in nats: a scalar


class Policy(nn.Module):
    """An LSTM that makes one decision after the other. Values that are not allowed have the probability 0.

    `choices` are the decisions of the longest architectures; each has its embedding and its head.
    """

    def __init__(self, choices: Sequence[Choice], *, embedding: int, hidden: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(embedding))
        self.embeddings = nn.ModuleList(nn.Embedding(len(choice.values), embedding) for choice in choices)
        self.cell = nn.LSTMCell(embedding, hidden)
        self.heads = nn.ModuleList(nn.Linear(hidden, len(choice.values)) for choice in choices)

    @torch.no_grad()
    def sample(self, space: SearchSpace, *, hold: Hold, generator: torch.Generator) -> tuple[int, ...]:
        """Places of an architecture, drawn from the policy."""

        def pick(number: int, log_probabilities: Tensor) -> int:
            return int(torch.multinomial(log_probabilities.exp(), 1, generator=generator))

        return self._decide(space, pick, hold).places

    def score(self, space: SearchSpace, places: tuple[int, ...], *, hold: Hold) -> Decisions:
        """Log-probability of decisions, with gradients."""
        return self._decide(space, lambda number, _: places[number], hold)

    def _decide(self, space: SearchSpace, pick: Pick, hold: Hold) -> Decisions:
        places: tuple[int, ...] = ()
        taken, entropies = [self.start.new_zeros(())], [self.start.new_zeros(())]
        read: Tensor = self.start
        state: tuple[Tensor, Tensor] | None = None
        while (choice := space.next_choice(places)) is not None:
            number = len(places)
            state = self.cell(read, state)
            place = hold(choice, number)
            if place is None:
                log_probabilities = self._log_probabilities(number, choice, state[0])
                place = pick(number, log_probabilities)
                taken.append(log_probabilities[place])
                entropies.append(_entropy(log_probabilities[list(choice.allowed)]))
            places = (*places, place)
            read = self.embeddings[number](torch.tensor(place))
        return Decisions(places, torch.stack(taken).sum(), torch.stack(entropies).sum())

    def _log_probabilities(self, number: int, choice: Choice, state: Tensor) -> Tensor:
        """Log-probabilities (V), minus infinity for values that are not allowed."""
        barred = torch.ones(len(choice.values), dtype=torch.bool)
        barred[list(choice.allowed)] = False
        logits: Tensor = self.heads[number](state)
        return logits.masked_fill(barred, -torch.inf).log_softmax(dim=-1)


def policy_loss(decisions: Sequence[Decisions], advantages: Sequence[float], *, entropy_weight: float = 0.0) -> Tensor:
    """Loss of the policy: -(1/N) sum over draws of advantage * log pi(a) + entropy_weight * H.

    The gradient is that of REINFORCE (Williams 1992), with the advantage R - b of each draw as a constant.
    """
    terms = [
        advantage * drawn.log_probability + entropy_weight * drawn.entropy
        for drawn, advantage in zip(decisions, advantages, strict=True)
    ]
    return -torch.stack(terms).mean()


def _entropy(log_probabilities: Tensor) -> Tensor:
    return -(log_probabilities.exp() * log_probabilities).sum()
