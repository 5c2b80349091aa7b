"""Compiler-aware search (Niu et al. 2020, "Real-Time Execution of Large-scale Language Models on Mobile"): a recurrent
policy decides the number of blocks, then the sizes of the layers, and learns by policy gradient."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import derive_seed
from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.registry import Observation
from distilgrid.search.controllers.settings import Reinforce
from distilgrid.search.decisions import Choice, Fits, SearchSpace, anything

Hold = Callable[[Choice, int], int | None]
"""Place at which a decision is held, by the decision and its number (from 0); None where the policy decides."""
REDRAWS = 50  # draws of the policy until one fits
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
        return self._decide(
            space, lambda _, logs: int(torch.multinomial(logs.exp(), 1, generator=generator)), hold
        ).places

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
                possible = log_probabilities[list(choice.allowed)]
                entropies.append(-(possible.exp() * possible).sum())
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


class ReinforceController:
    """Two phases of REINFORCE with a moving average of rewards as the baseline.

    Phase 1 draws the first decision, the number of blocks, and holds the others at reference values. Then the number
    with the best mean reward is held, and phase 2 draws the others, with a new baseline. Episodes of phase 1
    have no more candidates than the space has numbers of blocks.
    """

    def __init__(self, space: SearchSpace, settings: Reinforce, *, seed: int, fits: Fits = anything) -> None:
        _check_reference(settings.reference, space.choices)
        self._space, self._settings, self._fits = space, settings, fits
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "reinforce/weights"))
            self.policy = Policy(space.choices, embedding=settings.embedding, hidden=settings.hidden)
        self._optimiser = torch.optim.Adam(self.policy.parameters(), lr=settings.learning_rate)
        self._generator = torch.Generator().manual_seed(derive_seed(seed, "reinforce/draws"))
        self._episode = 0
        self._baseline: float | None = None
        self._depths: defaultdict[int, list[float]] = defaultdict(list)
        self._drawn: list[tuple[int, ...]] = []
        self.depth: int | None = None

    def ask(self, count: int) -> list[Architecture]:
        """Draw from the policy until `count` architectures differ, or `draws * count` are drawn."""
        self._drawn, found = [], dict[tuple[int, ...], Architecture]()
        while len(found) < count and len(self._drawn) < count * self._settings.draws:
            places = self._draw()
            self._drawn.append(places)
            found[places] = self._space.decode(places)
        return list(found.values())

    def _draw(self) -> tuple[int, ...]:
        """Places that fit. Where 50 draws find none, phase 1 draws the sizes, too; others have lower rewards."""
        for hold in (self._hold, self._hold_depth):
            for _ in range(REDRAWS):
                places = self.policy.sample(self._space, hold=hold, generator=self._generator)
                if self._fits(self._space.decode(places)):
                    return places
        return places

    def tell(self, observations: Sequence[Observation]) -> None:
        """Take one step along the policy gradient of the drawn architectures; others teach nothing."""
        rewards = {self._space.encode(seen.architecture): seen.reward for seen in observations}
        drawn = [places for places in self._drawn if places in rewards]
        if not drawn:
            return
        self._learn(drawn, [rewards[places] for places in drawn])
        for places, reward in rewards.items():
            self._depths[places[0]].append(reward)
        self._episode += 1
        if self._episode == self._settings.depth_episodes:
            self.depth = max(self._depths, key=lambda place: sum(self._depths[place]) / len(self._depths[place]))
            self._baseline = None

    def _learn(self, drawn: Sequence[tuple[int, ...]], rewards: Sequence[float]) -> None:
        mean = sum(rewards) / len(rewards)
        baseline = mean if self._baseline is None else self._baseline
        scored = {p: self.policy.score(self._space, p, hold=self._hold) for p in dict.fromkeys(drawn)}
        loss = policy_loss(
            [scored[places] for places in drawn],
            [reward - baseline for reward in rewards],
            entropy_weight=self._settings.entropy_weight,
        )
        if loss.requires_grad:  # false where everything is held
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
        decay = self._settings.baseline_decay
        self._baseline = decay * baseline + (1 - decay) * mean

    def _hold_depth(self, choice: Choice, number: int) -> int | None:
        """Place of the number of blocks once phase 1 has found it; nothing else is held."""
        del choice
        return self.depth if number == 0 else None

    def _hold(self, choice: Choice, number: int) -> int | None:
        """Place at which a phase holds a decision: phase 1 holds all but the first, phase 2 the first."""
        if self._episode >= self._settings.depth_episodes:
            return self.depth if number == 0 else None
        return None if number == 0 else _reference(choice, self._settings.reference.get(choice.quantity))


def _reference(choice: Choice, wanted: int | str | None) -> int:
    """Place of a value; where it is missing or not allowed, of the largest number, or of the first value of others."""
    for place in choice.allowed:
        if choice.values[place] == wanted:
            return place
    numbers = all(isinstance(value, int) for value in choice.values)
    return max(choice.allowed, key=lambda place: choice.values[place]) if numbers else choice.allowed[0]


def _check_reference(reference: dict[str, int | str], choices: Sequence[Choice]) -> None:
    known = {choice.quantity: choice.values for choice in choices[1:]}
    for name, value in reference.items():
        if name not in known:
            raise UserError(f"controller.reference.{name}: the space has no such choice; {did_you_mean(name, known)}")
        if value not in known[name]:
            listed = ", ".join(map(str, known[name]))
            raise UserError(f"controller.reference.{name}: {value} is not in the space; choose one of: {listed}")
