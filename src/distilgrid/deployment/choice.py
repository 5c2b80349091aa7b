"""Choice of the smallest model within limits of latency and loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from distilgrid.core.errors import UserError
from distilgrid.deployment.options import ModelOption, Offer
from distilgrid.reporting import wording

ROUNDING = 1e-9
"""Tolerance of limits: as binary fractions, 0.89 is more than one point below 0.90."""


@dataclass(frozen=True)
class Limits:
    """Limits of a model's latency, and of its loss against its teacher in points divided by 100.

    Raises:
        UserError: for a limit that is NaN, infinite or negative.
    """

    latency_ms: float
    loss: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.latency_ms) and self.latency_ms > 0):
            raise UserError(f"--max-latency: {self.latency_ms:g} ms is no limit; write 10ms, 0.5s or 800us")
        if not (math.isfinite(self.loss) and self.loss >= 0):
            raise UserError(f"--max-loss: {100 * self.loss:g} is no limit; write points of score, 0 to 100: 1.0")

    def fast(self, option: ModelOption) -> bool:
        """Whether a model keeps to the limit of latency."""
        return option.latency_ms <= self.latency_ms + ROUNDING

    def good(self, option: ModelOption) -> bool:
        """Whether a model keeps to the limit of loss."""
        return option.loss <= self.loss + ROUNDING


@dataclass(frozen=True)
class Decision:
    """The model to ship, or None, with reasons in sentences.

    The winner has the smallest file within both limits. Among equal files, the fastest wins.
    """

    winner: ModelOption | None
    reasons: tuple[str, ...]


def choose(offer: Offer, *, limits: Limits) -> Decision:
    """Choose among the options of an offer."""
    options = offer.options
    fast = [option for option in options if limits.fast(option)]
    good = [option for option in options if limits.good(option)]
    both = [option for option in fast if option in good]
    amount = f"{100 * limits.loss:g}"
    points = f"{amount} point{'' if amount == '1' else 's'}" if options[0].scoring.unit else amount
    counted = (
        f"of {wording.plural(len(options), 'model')} in all runtimes, {len(fast)} take at most "
        f"{wording.milliseconds(limits.latency_ms)} ms, {len(good)} lose at most {points} of "
        f"{_teachers(options)}, {len(both)} do both"
    )
    if not both:
        return Decision(None, (counted, *_nearest(fast, good), *offer.left_out))
    winner = min(both, key=lambda option: (option.size_bytes, option.latency_ms))
    return Decision(winner, (counted, *_described(winner), *_others(winner, both), *offer.left_out))


def _teachers(options: Sequence[ModelOption]) -> str:
    if len({option.teacher for option in options}) > 1:
        return "their own teacher's score"
    return f"the teacher's {options[0].scoring.score(options[0].teacher)}"


def _nearest(fast: Sequence[ModelOption], good: Sequence[ModelOption]) -> list[str]:
    """The options closest to both limits."""
    said = []
    if fast:
        best = min(fast, key=lambda option: option.loss)
        said.append(f"the best of the fast ones scores {best.scoring.score(best.score)}: {best.name}")
    if good:
        fastest = min(good, key=lambda option: option.latency_ms)
        said.append(f"the fastest of the good ones takes {wording.milliseconds(fastest.latency_ms)} ms: {fastest.name}")
        said.append(f"these milliseconds: {fastest.conditions.words}")
    return said


def _described(winner: ModelOption) -> list[str]:
    scoring, noisy = winner.scoring, " (a noisy measurement)" if winner.noisy else ""
    return [
        f"it scores {scoring.score(winner.score)} ({scoring.points(winner.score - winner.teacher)}) in "
        f"{wording.milliseconds(winner.latency_ms)} ms{noisy} with {wording.size(winner.size_bytes)}",
        f"these milliseconds: {winner.conditions.words}",
    ]


def _others(winner: ModelOption, both: Sequence[ModelOption]) -> list[str]:
    """Other models within the limits that are faster or better."""
    fastest = min(both, key=lambda option: option.latency_ms)
    best = min(both, key=lambda option: option.loss)
    said = []
    if fastest is not winner:
        said.append(f"faster within the limits: {fastest.name}, {wording.milliseconds(fastest.latency_ms)} ms")
    score = best.scoring.score(best.score)
    if score != winner.scoring.score(winner.score):
        said.append(f"better within the limits: {best.name}, {score}")
    return said
