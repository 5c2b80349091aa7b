"""Rewards of candidates: quality and latency as one number. Light: no torch here."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilgrid.core.errors import UserError
from distilgrid.core.schema import Settings


class LatencyPower(Settings):
    """Rewards with the factor (lat(S) / (beta * lat(T)))^alpha, S a candidate and T the teacher (KD-NAS)."""

    alpha: float = Field(default=-0.06, le=0)
    """Exponent of the latency ratio; lower values punish slow candidates more. 0 leaves latency out."""
    beta: float = Field(default=0.6, gt=0)
    """Target latency as a share of the teacher's: a candidate that meets it has the factor 1."""
    outside: Literal["refuse", "clamp"] = "refuse"
    """Reaction to a product without meaning (a loss of 1 or more, a score below 0, or not a number): `refuse` stops
    the search, `clamp` gives the quality 0."""


class LossReward(LatencyPower):
    """KD-NAS, second version (Trivedi et al. 2023): (1 - loss) * (lat(S) / (beta * lat(T)))^alpha."""

    kind: Literal["loss-latency"] = "loss-latency"
    """The quality is 1 - the distillation loss of a candidate's last epoch."""


class ScoreReward(LatencyPower):
    """KD-NAS, first version (Trivedi et al. 2023): score * (lat(S) / (beta * lat(T)))^alpha."""

    kind: Literal["score-latency"] = "score-latency"
    """The quality is a candidate's score on `dev`."""


class LimitReward(Settings):
    """Compiler-aware search: score - gamma * max(0, lat - limit) / limit.

    The paper (Niu et al. 2020) penalises latencies above the limit without a formula: this form is ours.
    """

    kind: Literal["score-limit"] = "score-limit"
    """The quality is a candidate's score on `dev`; latency counts only beyond the limit."""
    limit_ms: float | None = Field(default=None, gt=0)
    """The latency limit in ms; give this or `limit_share`."""
    limit_share: float | None = Field(default=None, gt=0)
    """The latency limit as a share of the teacher's latency; give this or `limit_ms`."""
    gamma: float = Field(default=1.0, gt=0)
    """Score that a candidate loses at twice the limit, in proportion to the excess."""

    @model_validator(mode="after")
    def _one_limit(self) -> "LimitReward":
        if (self.limit_ms is None) == (self.limit_share is None):
            raise ValueError("give either limit_ms or limit_share")
        return self


Reward = Annotated[LossReward | ScoreReward | LimitReward, Field(discriminator="kind")]


def limit_ms(settings: LimitReward, *, teacher_ms: float) -> float:
    """Latency limit in ms, as set or as a share of the teacher's latency."""
    return settings.limit_ms if settings.limit_ms is not None else (settings.limit_share or 0) * teacher_ms


def excess(value: float, *, limit: float | None) -> float:
    """Share by which a latency or a size exceeds its limit: 0 within it, or without one."""
    return 0.0 if limit is None else max(0.0, value - limit) / limit


def quality(settings: Reward, *, score: float, loss: float) -> float:
    """Part of a reward without latency, higher is better: the score, or 1 - loss.

    Raises UserError when the reward's product has no meaning for it, unless the settings clamp it.
    """
    if isinstance(settings, LimitReward):
        if math.isnan(score):
            raise UserError(
                "search.reward: a candidate's score is not a number; check the estimator's training settings"
            )
        return score
    value, valid, needs = score, score >= 0, f"a score of 0 or more, found {score:g}"
    if isinstance(settings, LossReward):
        value, valid, needs = 1 - loss, loss < 1, f"a loss below 1, found {loss:g}"
    if not valid and settings.outside == "refuse":
        raise UserError(
            f"search.reward: {settings.kind} needs {needs}; set `outside: clamp` to give such candidates the quality 0"
        )
    return value if valid else 0.0


def reward(settings: Reward, *, quality: float, latency_ms: float, teacher_ms: float) -> float:
    """Value that a search maximises, from a candidate's quality and latency, and the teacher's latency.

    Both latencies hold under the same conditions. Raises ValueError for a latency of 0 or less.
    """
    if not min(latency_ms, teacher_ms) > 0:
        raise ValueError(f"latencies must be above 0 ms, found {latency_ms} and {teacher_ms}")
    if isinstance(settings, LatencyPower):
        factor: float = (latency_ms / (settings.beta * teacher_ms)) ** settings.alpha
        return quality * factor
    limit = limit_ms(settings, teacher_ms=teacher_ms)
    return quality - settings.gamma * excess(latency_ms, limit=limit)
