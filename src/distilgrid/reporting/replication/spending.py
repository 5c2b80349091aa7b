"""Levels of repeated looks at one comparison, by alpha spending.

A comparison that is tested after 5, 7 and 12 seeds has three chances to look clear without an effect. A spending
function says how much of the error rate alpha the looks may use until a share t of the largest number of seeds is
there (Lan & DeMets 1983). Ours is theirs of Pocock's type, alpha ln(1 + (e - 1) t). Its levels are nearly equal, as
suits a first look at few seeds, which must not ask for a nearly impossible t.

Levels come from simulated sequences of Student's t without an effect: the level of a look is the p-value that the
allowed share of sequences crosses there for the first time. Normal boundaries used as levels of t, which tables hold,
exceed alpha at such numbers of seeds (Shao & Feng 2007, who simulate as well).

The interval at the level of a look is a repeated confidence interval (Jennison & Turnbull 1989): those of all looks
together hold the true effect with the confidence 1 - alpha. So a verdict that is read from any of them, of
equivalence too, is wrong with a probability of at most alpha. Validation rows are the same at each look, which makes
looks more alike than numbers of seeds say, and levels stricter than need be.
"""

import functools
import math

import numpy as np

PATHS = 400_000
"""Simulated sequences. They tell levels to about 1 %, and levels err by two standard errors to the strict side."""
FEWEST_CROSSINGS = 30
"""The crossings that tell a level. A look that is allowed fewer is tested at what it may use, as Bonferroni does."""
STEP = 1.5
"""The largest factor between the numbers of seeds at two looks that follow each other."""


def schedule(first: int, most: int) -> tuple[int, ...]:
    """The numbers of seeds at which a comparison may be looked at, from the first look to the largest number.

    They do not depend on results. A look that would be placed where an effect has just become large is one look more
    than its level allows for; here looks may be skipped, and their levels stay as if they had been taken.
    """
    if first >= most:
        return (first,)
    steps = math.ceil(math.log(most / first) / math.log(STEP))
    return tuple(dict.fromkeys(round(first * (most / first) ** (number / steps)) for number in range(steps + 1)))


def spent(share: float, alpha: float) -> float:
    """The part of alpha that the looks may use until a share (0 to 1) of the largest number of seeds is there."""
    return alpha * math.log(1 + (math.e - 1) * min(1.0, share))


@functools.cache
def levels(counts: tuple[int, ...], most: int, alpha: float) -> tuple[float, ...]:
    """The level of the two-sided t test at each look.

    Args:
        counts: the number of seeds at each look, at least 2 and each larger than the one before.
        most: the largest number of seeds that there may ever be.
        alpha: the error rate of all looks together.
    """
    from scipy.special import stdtr

    generator = np.random.default_rng(0)
    total, squares = np.zeros(PATHS), np.zeros(PATHS)  # sums over seeds of the effects, and of their squares
    found: list[float] = []
    used = 0.0
    for before, count in zip((0, *counts), counts, strict=False):
        added = count - before
        part = generator.normal(scale=math.sqrt(added), size=len(total))
        squares += part**2 / added + (generator.chisquare(added - 1, size=len(total)) if added > 1 else 0.0)
        total += part
        spread = (squares - total**2 / count) / (count - 1)
        p = 2 * stdtr(count - 1, -np.abs(total) / np.sqrt(count * spread))
        allowed = spent(count / most, alpha) - used
        expected = allowed * PATHS
        crossing = math.floor(expected - 2 * math.sqrt(expected)) - 1
        simulated = expected >= FEWEST_CROSSINGS
        found.append(float(np.partition(p, crossing)[crossing]) if simulated else allowed)
        used += allowed
        total, squares = total[p > found[-1]], squares[p > found[-1]]
    return tuple(found)
