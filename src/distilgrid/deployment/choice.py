"""The smallest model that is fast enough and loses little enough."""

from collections.abc import Sequence
from dataclasses import dataclass

from distilgrid.deployment.options import Option
from distilgrid.reporting import wording


@dataclass(frozen=True)
class Limits:
    """What a model must keep to.

    Attributes:
        latency_ms: the most.
        loss: the most that its score may lie below the teacher's, as a share of 1.
    """

    latency_ms: float
    loss: float


@dataclass(frozen=True)
class Choice:
    """The model to ship, or None, and why.

    Attributes:
        winner: the smallest file among those within both limits, of equal ones the fastest.
        reasons: sentences.
    """

    winner: Option | None
    reasons: tuple[str, ...]


def choose(options: Sequence[Option], *, teacher: float, limits: Limits) -> Choice:
    """Choose among options; `teacher` is the teacher's score."""
    fast = [option for option in options if option.latency_ms <= limits.latency_ms]
    good = [option for option in options if teacher - option.score <= limits.loss]
    both = [option for option in fast if option in good]
    counted = (
        f"of {wording.plural(len(options), 'model')} in all runtimes, {len(fast)} take at most "
        f"{wording.milliseconds(limits.latency_ms)} ms, {len(good)} lose at most {100 * limits.loss:g} points of the "
        f"teacher's {wording.score(teacher)}, {len(both)} do both"
    )
    if not both:
        return Choice(None, (counted, *_nearest(fast, good)))
    winner = min(both, key=lambda option: (option.size_bytes, option.latency_ms))
    return Choice(winner, (counted, *_described(winner, teacher), *_others(winner, both)))


def _nearest(fast: Sequence[Option], good: Sequence[Option]) -> list[str]:
    """What would have to give."""
    said = []
    if fast:
        best = max(fast, key=lambda option: option.score)
        said.append(f"the best of the fast ones scores {wording.score(best.score)}: {best.name}")
    if good:
        fastest = min(good, key=lambda option: option.latency_ms)
        said.append(f"the fastest of the good ones takes {wording.milliseconds(fastest.latency_ms)} ms: {fastest.name}")
    return said


def _described(winner: Option, teacher: float) -> list[str]:
    noisy = " (a noisy measurement)" if winner.noisy else ""
    return [
        f"it scores {wording.score(winner.score)} ({wording.signed(winner.score - teacher)} points) in "
        f"{wording.milliseconds(winner.latency_ms)} ms{noisy} with {wording.size(winner.size_bytes)}"
    ]


def _others(winner: Option, both: Sequence[Option]) -> list[str]:
    """Models within the limits that are better in something else."""
    fastest = min(both, key=lambda option: option.latency_ms)
    best = max(both, key=lambda option: option.score)
    said = []
    if fastest is not winner:
        said.append(f"faster within the limits: {fastest.name}, {wording.milliseconds(fastest.latency_ms)} ms")
    if best is not winner:
        said.append(f"better within the limits: {best.name}, {wording.score(best.score)}")
    return said
