"""The reward of a candidate: its quality and its latency as one number. Light: no torch here."""

import math

from distilgrid.core.errors import UserError
from distilgrid.search.reward_settings import LatencyPower, LimitReward, LossReward, ScoreReward


def latency_power(latency_ms: float, *, teacher_ms: float, alpha: float, beta: float) -> float:
    """The latency factor of KD-NAS (Trivedi et al. 2023): (lat(S) / (beta * lat(T)))^alpha.

    Raises ValueError when a latency is not above 0.
    """
    _require_latency(latency_ms)
    _require_latency(teacher_ms)
    return float((latency_ms / (beta * teacher_ms)) ** alpha)


def limit_ms(settings: LimitReward, *, teacher_ms: float) -> float:
    """The latency limit in ms, as set or as a share of the teacher's latency."""
    return settings.limit_ms if settings.limit_ms is not None else (settings.limit_share or 0) * teacher_ms


def quality(settings: LossReward | ScoreReward | LimitReward, *, score: float, loss: float) -> float:
    """The part of a reward that knows no latency, higher is better: the score, or 1 - loss.

    Raises UserError when the reward's product has no meaning for it, unless the settings clamp it.
    """
    if isinstance(settings, LossReward):
        return _checked(settings, 1 - loss, valid=loss < 1, needs=f"a loss below 1, found {loss:g}")
    if isinstance(settings, ScoreReward):
        return _checked(settings, score, valid=score >= 0, needs=f"a score of 0 or more, found {score:g}")
    if math.isnan(score):
        raise UserError("search.reward: the score of a candidate is no number; check the estimator's training settings")
    return score


def reward(
    settings: LossReward | ScoreReward | LimitReward, *, quality: float, latency_ms: float, teacher_ms: float
) -> float:
    """What a search makes large.

    Args:
        settings: the form and its constants.
        quality: as `quality` gives it.
        latency_ms: of the candidate.
        teacher_ms: latency of the teacher under the same conditions.

    Raises:
        ValueError: when a latency is not above 0.
    """
    if isinstance(settings, LatencyPower):
        factor = latency_power(latency_ms, teacher_ms=teacher_ms, alpha=settings.alpha, beta=settings.beta)
        return quality * factor
    _require_latency(latency_ms)
    limit = limit_ms(settings, teacher_ms=teacher_ms)
    return quality - settings.gamma * max(0.0, latency_ms - limit) / limit


def _checked(settings: LossReward | ScoreReward, value: float, *, valid: bool, needs: str) -> float:
    if valid:
        return value
    if settings.outside == "clamp":
        return 0.0
    raise UserError(
        f"search.reward: {settings.kind} needs {needs}; set `outside: clamp` to give such candidates the quality 0"
    )


def _require_latency(latency_ms: float) -> None:
    if not latency_ms > 0:
        raise ValueError(f"a latency must be above 0 ms, found {latency_ms}")
