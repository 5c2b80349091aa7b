"""A made-up reward over real search spaces, with a known optimum, and a loop that searches it."""

import math
from collections.abc import Sequence
from typing import Any

from distilgrid.search.architecture import Architecture
from distilgrid.search.controllers.registry import Controller, Observation, build_controller
from distilgrid.search.decisions import SearchSpace
from distilgrid.search.layered_space import LayeredSpace
from distilgrid.search.space import Space

SPACE = Space(
    layers=[1, 2, 3, 4, 5, 6],
    hidden=[96, 144, 192, 240, 288, 336, 384],
    heads=[2, 3, 4, 6, 12],
    feed_forward=[192, 384, 576, 768, 1152, 1536],
    activation=["gelu", "relu", "silu"],
)
LAYERED = LayeredSpace(
    blocks=[1, 2, 3, 4], hidden=[96, 192, 288], feed_forward=[192, 384, 768], heads=[6, 12], max_parameters=1_500_000
)
ACTIVATION = {"gelu": (0.0, 1.1), "relu": (0.01, 1.0), "silu": (0.004, 1.05)}
"""What it costs in quality, and its arithmetic."""


def layers_of(architecture: Any) -> list[tuple[int, int]]:
    """Width and feed-forward width of each layer."""
    if isinstance(architecture.hidden, int):
        return [(architecture.hidden, architecture.feed_forward)] * int(architecture.layers)
    return list(zip(architecture.hidden, architecture.feed_forward, strict=True))


def observe(architecture: Any) -> Observation:
    """Quality that saturates with depth and widths, latency that grows with arithmetic, KD-NAS's reward of both."""
    layers, (loss, work) = layers_of(architecture), ACTIVATION[architecture.activation]
    width = sum(hidden for hidden, _ in layers) / len(layers)
    ff = sum(ff for _, ff in layers) / len(layers)
    quality = 0.92 - 0.35 * math.exp(-len(layers) / 1.5) - 0.25 * math.exp(-width / 110) - 0.12 * math.exp(-ff / 350)
    quality -= 0.01 * abs(math.log(width / architecture.heads / 32)) + loss
    arithmetic = sum(4 * hidden**2 + 2 * hidden * ff * work for hidden, ff in layers) / 1e6
    latency = 1 + arithmetic + 0.02 * len(layers) * architecture.heads
    return Observation(architecture, quality * (latency / 7.5) ** -0.06, quality, latency)


def search(settings: Any, *, seed: int, episodes: int, count: int, space: SearchSpace = SPACE) -> list[Observation]:
    """The first `episodes * count` different architectures that a controller proposes, in order."""
    controller: Controller = build_controller(settings, space, seed=seed)
    tried: dict[Architecture, Observation] = {}
    for _ in range(2 * episodes):
        told = [observe(candidate) for candidate in controller.ask(min(count, episodes * count - len(tried)))]
        tried |= {seen.architecture: seen for seen in told}
        controller.tell(told)
        if len(tried) == episodes * count:
            break
    return list(tried.values())


def best(observations: Sequence[Observation]) -> float:
    """The highest reward."""
    return max(seen.reward for seen in observations)
