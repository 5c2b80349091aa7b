"""Compiler-aware search (Niu et al. 2020, "Real-Time Execution of Large-scale Language Models on Mobile"): a recurrent
policy decides the number of blocks, then the sizes of the layers, and learns by policy gradient."""

from collections import defaultdict
from collections.abc import Sequence

import torch

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import derive_seed
from distilgrid.search.architecture import Architecture, Choice, SearchSpace
from distilgrid.search.controllers.base import Observation
from distilgrid.search.controllers.reinforce_policy import Policy, policy_loss
from distilgrid.search.controllers.settings import Reinforce


class ReinforceController:
    """Two phases of REINFORCE with a moving average of rewards as the baseline.

    Phase 1 draws the first decision, the number of blocks, and holds the others at reference values. Then the number
    with the best mean reward is held, and phase 2 draws the others, with a new baseline. Episodes of phase 1
    have no more candidates than the space has numbers of blocks.
    """

    def __init__(self, space: SearchSpace, settings: Reinforce, *, seed: int) -> None:
        _check_reference(settings.reference, space.choices)
        self._space, self._settings = space, settings
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
            places = self.policy.sample(self._space, hold=self._hold, generator=self._generator)
            self._drawn.append(places)
            found[places] = self._space.decode(places)
        return list(found.values())

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
