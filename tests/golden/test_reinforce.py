"""The policy gradient of compiler-aware search against gradients worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from distilgrid.core.errors import UserError
from distilgrid.search.architecture import LayeredShape
from distilgrid.search.controllers.registry import Observation
from distilgrid.search.controllers.reinforce import Policy, ReinforceController, policy_loss
from distilgrid.search.controllers.settings import Reinforce
from distilgrid.search.layered_space import LayeredSpace
from distilgrid.search.space import Space

SPACE = Space(layers=[1, 2, 4], hidden=[8, 12], heads=[2, 3], feed_forward=[8, 16])
LAYERED = LayeredSpace(blocks=[1, 2, 3], hidden=[8, 12], feed_forward=[16, 8], heads=[2], max_parameters=2000)
DRAWS = [(0, 0, 0, 1, 0), (2, 1, 1, 0, 0), (0, 1, 0, 0, 0), (1, 1, 1, 1, 0)]
REWARDS, BASELINE = [0.9, 0.2, 0.5, 0.7], 0.6


def free(choice: Any, number: int) -> None:
    return None


def tiny_policy(space: Any = SPACE) -> Policy:
    torch.manual_seed(0)
    policy = Policy(space.choices, embedding=3, hidden=4).double()
    with torch.no_grad():
        policy.start += torch.arange(3.0)
    return policy


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def first_step(policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """State of the LSTM after the start (H), probabilities of the first decision (V)."""
    w = {name: values.detach().numpy() for name, values in policy.named_parameters()}
    gates = w["cell.weight_ih"] @ w["start"] + w["cell.bias_ih"] + w["cell.bias_hh"]
    i, _, g, o = np.split(gates, 4)
    h = sigmoid(o) * np.tanh(sigmoid(i) * np.tanh(g))
    logits = w["heads.0.weight"] @ h + w["heads.0.bias"]
    return h, np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_gradient_of_the_first_decision_by_hand(weight: float) -> None:
    policy = tiny_policy()
    decisions = [policy.score(SPACE, places, hold=free) for places in DRAWS]
    policy_loss(decisions, [reward - BASELINE for reward in REWARDS], entropy_weight=weight).backward()
    h, p = first_step(policy)
    entropy = -(p * np.log(p)).sum()
    expected = np.zeros(3)
    for places, reward in zip(DRAWS, REWARDS, strict=True):
        expected += (reward - BASELINE) * (np.eye(3)[places[0]] - p) / len(DRAWS)  # d log softmax / d logits
    expected += weight * -p * (np.log(p) + entropy)  # d entropy / d logits
    assert np.allclose(policy.heads[0].bias.grad, -expected)
    assert np.allclose(policy.heads[0].weight.grad, -np.outer(expected, h))


def test_the_gradient_of_every_weight_by_finite_differences() -> None:
    policy = tiny_policy(LAYERED)
    drawn = [LAYERED.encode(shape) for shape in LAYERED.sample(4, seed=0)]

    def loss() -> torch.Tensor:
        decisions = [policy.score(LAYERED, places, hold=free) for places in drawn]
        return policy_loss(decisions, [reward - BASELINE for reward in REWARDS], entropy_weight=0.1)

    loss().backward()
    step = 1e-6
    for weights in [policy.start, policy.cell.weight_hh, policy.heads[3].weight, policy.embeddings[0].weight]:
        for at in range(min(weights.numel(), 6)):
            flat = weights.data.view(-1)
            flat[at] += step
            above = loss().item()
            flat[at] -= 2 * step
            below = loss().item()
            flat[at] += step
            assert weights.grad is not None
            assert (above - below) / (2 * step) == pytest.approx(weights.grad.view(-1)[at].item(), abs=1e-7)


@pytest.mark.parametrize("space", [SPACE, LAYERED])
def test_the_probabilities_of_all_members_add_up_to_one(space: Any) -> None:
    policy = tiny_policy(space)
    every = space.sample(10_000, seed=0)
    logs = [policy.score(space, space.encode(shape), hold=free).log_probability for shape in every]
    assert torch.stack(logs).exp().sum().item() == pytest.approx(1)


def test_draws_follow_the_probabilities() -> None:
    policy, generator = tiny_policy(), torch.Generator().manual_seed(0)
    drawn = [policy.sample(SPACE, hold=free, generator=generator)[0] for _ in range(600)]
    assert np.allclose(np.bincount(drawn, minlength=3) / 600, first_step(policy)[1], atol=0.07)


def reward_of(shape: Any) -> float:
    return {1: 0.2, 2: 0.9, 3: 0.5}[shape.layers] + 0.001 * sum(shape.hidden) / shape.layers


def told(shapes: list[Any]) -> list[Observation]:
    return [Observation(shape, reward_of(shape), reward_of(shape), 1.0) for shape in shapes]


def test_first_the_depth_is_decided_with_reference_sizes_then_the_sizes() -> None:
    settings = Reinforce(depth_episodes=2, reference={"feed_forward": 8})
    space = LayeredSpace(blocks=[1, 2, 3], hidden=[8, 12], feed_forward=[16, 8], heads=[2])
    controller = ReinforceController(space, settings, seed=0)
    references = {LayeredShape((12,) * blocks, (8,) * blocks, 2) for blocks in (1, 2, 3)}
    for _ in range(2):
        asked = controller.ask(8)
        assert set(asked) <= references
        controller.tell(told(asked))
    assert controller.depth == 1  # the place of 2 blocks
    asked = controller.ask(8)
    assert {shape.layers for shape in asked} == {2} and len({shape.hidden for shape in asked}) > 1


def test_sizes_held_in_the_first_phase_keep_to_the_limit() -> None:
    controller = ReinforceController(LAYERED, Reinforce(depth_episodes=1), seed=0)
    asked = controller.ask(8)
    assert {shape.layers for shape in asked} == {1, 2, 3} and all(LAYERED.allows(shape) for shape in asked)
    assert next(shape for shape in asked if shape.layers == 1) == LayeredShape((12,), (16,), 2)


def test_without_a_first_phase_everything_is_decided_at_once() -> None:
    asked = ReinforceController(LAYERED, Reinforce(depth_episodes=0), seed=0).ask(20)
    assert {shape.layers for shape in asked} == {1, 2, 3} and len({shape.hidden for shape in asked}) > 3


def test_a_rewarded_decision_becomes_likelier_and_the_baseline_follows_the_rewards() -> None:
    controller = ReinforceController(SPACE, Reinforce(depth_episodes=100), seed=0)
    before = first_step(controller.policy)[1]
    means = []
    for _ in range(30):
        asked = controller.ask(3)
        rewards = {shape: 1.0 if shape.layers == 4 else 0.0 for shape in asked}
        means.append([rewards[SPACE.decode(places)] for places in controller._drawn])
        controller.tell([Observation(shape, reward, reward, 1.0) for shape, reward in rewards.items()])
    assert first_step(controller.policy)[1][2] > before[2] + 0.2
    baseline = float(np.mean(means[0]))
    for rewards_drawn in means:
        baseline = 0.9 * baseline + 0.1 * float(np.mean(rewards_drawn))
    assert controller._baseline == pytest.approx(baseline)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [({"hiden": 8}, "reference.hiden: .*did you mean 'hidden'"), ({"hidden": 10}, "10 is not in the space; .* 8, 12")],
)
def test_a_reference_outside_the_space_is_refused(reference: dict[str, int | str], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        ReinforceController(LAYERED, Reinforce(reference=reference), seed=0)
