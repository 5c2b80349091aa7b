"""The command `distilgrid choose`: the smallest model within limits of latency and loss.

Dev decides: which seed of a student ships, and whether it keeps to the limit of the loss, as it is exported. The
validation score of that very model is then said.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import ModelOption, Offer, list_options
from distilgrid.plan.expand import Plan
from distilgrid.plan.names import task_named
from distilgrid.reporting import wording
from distilgrid.reporting.collect import Collected, collect
from distilgrid.reporting.facts import cautions
from distilgrid.reporting.findings import find

ROUNDING = 1e-9
"""Tolerance of limits: as binary fractions, 0.89 is more than one point below 0.90."""
UNITS = {"ms": 1.0, "s": 1000.0, "us": 0.001}


def parse_latency(text: str) -> float:
    """Parse a time such as `10ms`, `0.5s`, `800us` or `10` as milliseconds. Raises UserError for anything else."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(ms|us|s)?", text.strip())
    if not found or float(found[1]) <= 0:
        raise UserError(f"--max-latency: '{text}' is no time; write 10ms, 0.5s or 800us")
    return float(found[1]) * UNITS[found[2] or "ms"]


@dataclass(frozen=True)
class Limits:
    """Limits of latency, and of the loss on dev against the teacher as tables print it.

    Raises UserError for no number.
    """

    latency_ms: float
    loss: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.latency_ms) and self.latency_ms > 0):
            raise UserError(f"--max-latency: {self.latency_ms:g} ms is no limit; write 10ms, 0.5s or 800us")
        if not (math.isfinite(self.loss) and self.loss >= 0):
            raise UserError(f"--max-loss: {self.loss:g} is no limit; write points of score, 0 to 100: 1.0")


@dataclass(frozen=True)
class Decision:
    """The model to ship, or None, with reasons in sentences.

    The winner has the smallest file within both limits. Among equal files, the fastest wins, then the best on dev.
    """

    winner: ModelOption | None
    reasons: tuple[str, ...]


def choose_model(
    *, plan: Plan, results: Path, task: str | None, limits: Limits, where: Where
) -> tuple[Decision, Collected]:
    """Choose a model for a task of a finished grid, and return the decision and the grid's results.

    Raises UserError when the task is not clear, results are missing, or no measurement fits.
    """
    findings = find(collect(plan, results))
    chosen = task_named(plan.params, task)
    decision = choose(list_options(findings, chosen, where), limits=limits)
    said = cautions(findings.collected.datasets[chosen])
    if said:
        decision = replace(decision, reasons=(*decision.reasons, said.removesuffix(".")))
    return decision, findings.collected


def choose(offer: Offer, *, limits: Limits) -> Decision:
    """Choose among the options of an offer."""
    options = offer.options
    fast = [option for option in options if option.latency_ms <= limits.latency_ms + ROUNDING]
    good = [option for option in options if option.loss <= limits.loss + ROUNDING]
    both = [option for option in fast if option in good]
    unit = options[0].line.scoring.unit.removesuffix("s" if limits.loss == 1 else "")
    counted = (
        f"of {wording.plural(len(options), 'model')} in all runtimes, {len(fast)} take at most "
        f"{wording.milliseconds(limits.latency_ms)} ms, {len(good)} lose at most {limits.loss:g}{unit} of "
        f"{_teachers(options)} on dev, {len(both)} do both"
    )
    if not both:
        return Decision(None, (counted, *_nearest(fast, good), *offer.left_out))
    winner = min(both, key=lambda option: (option.size_bytes, option.latency_ms, option.loss))
    return Decision(winner, (counted, *_described(winner, limits), *_others(winner, both), *offer.left_out))


def _teachers(options: Sequence[ModelOption]) -> str:
    if len({option.dev_teacher for option in options}) > 1:
        return "their own teacher's score"
    return f"the teacher's {options[0].line.scoring.score(options[0].dev_teacher)}"


def _nearest(fast: Sequence[ModelOption], good: Sequence[ModelOption]) -> list[str]:
    """The options closest to both limits."""
    said = []
    if fast:
        best = min(fast, key=lambda option: option.loss)
        said.append(f"the best of the fast ones scores {best.line.scoring.score(best.dev)} on dev: {best.name}")
    if good:
        fastest = min(good, key=lambda option: option.latency_ms)
        said.append(f"the fastest of the good ones takes {wording.milliseconds(fastest.latency_ms)} ms: {fastest.name}")
        said.append(f"these milliseconds: {fastest.conditions.words}")
    return said


def _described(winner: ModelOption, limits: Limits) -> list[str]:
    """The winner with its validation score, which decided nothing, and a warning if that breaks the limit."""
    scoring, noisy = winner.line.scoring, " (a noisy measurement)" if winner.noisy else ""
    split = winner.line.facts["split"]
    said = [
        f"it scores {scoring.score(winner.score)} ({scoring.points(winner.score - winner.teacher)}) on {split}, seed "
        f"{winner.model.labels['seed']}, in {wording.milliseconds(winner.latency_ms)} ms{noisy} with "
        f"{wording.size(winner.size_bytes)}",
        f"chosen on dev, where it scores {scoring.score(winner.dev)} "
        f"({scoring.points(winner.dev - winner.dev_teacher)})",
        f"these milliseconds: {winner.conditions.words}",
    ]
    if winner.validation_loss > limits.loss + ROUNDING:
        said.insert(1, f"on {split} it loses more than the limit of {limits.loss:g}, which dev did not show")
    return said


def _others(winner: ModelOption, both: Sequence[ModelOption]) -> list[str]:
    """Other models within the limits that are faster, or better on dev."""
    fastest = min(both, key=lambda option: option.latency_ms)
    best = min(both, key=lambda option: option.loss)
    said = []
    if fastest is not winner:
        said.append(f"faster within the limits: {fastest.name}, {wording.milliseconds(fastest.latency_ms)} ms")
    score = best.line.scoring.score(best.dev)
    if score != winner.line.scoring.score(winner.dev):
        said.append(f"better on dev within the limits: {best.name}, {score}")
    return said
