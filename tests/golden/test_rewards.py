"""Reward forms of architecture search against numbers worked out by hand."""

import math

import pytest
from pydantic import ValidationError

from distilgrid.core.errors import UserError
from distilgrid.search.rewards import LimitReward, LossReward, ScoreReward, quality, reward

TEACHER_MS = 100.0


def test_the_loss_form_of_kd_nas() -> None:
    settings = LossReward()
    kept = quality(settings, score=0.0, loss=0.2)
    assert kept == pytest.approx(0.8)
    # 5.2 times as fast as the teacher: (1 / (5.2 * 0.6))^-0.06 = exp(0.06 * ln 3.12) = exp(0.06 * 1.137833) = 1.07065
    found = reward(settings, quality=kept, latency_ms=TEACHER_MS / 5.2, teacher_ms=TEACHER_MS)
    assert found == pytest.approx(0.8 * 1.07065, abs=1e-5)
    at_target = reward(settings, quality=kept, latency_ms=60.0, teacher_ms=TEACHER_MS)
    assert at_target == pytest.approx(0.8)
    assert reward(settings, quality=kept, latency_ms=90.0, teacher_ms=TEACHER_MS) < at_target


def test_the_score_form_of_kd_nas() -> None:
    settings = ScoreReward(alpha=-0.5, beta=0.25)
    kept = quality(settings, score=0.9, loss=math.nan)
    assert reward(settings, quality=kept, latency_ms=100.0, teacher_ms=TEACHER_MS) == pytest.approx(0.45)  # 4^-0.5


@pytest.mark.parametrize("settings", [LimitReward(limit_ms=20.0, gamma=2.0), LimitReward(limit_share=0.2, gamma=2.0)])
def test_the_form_with_a_limit(settings: LimitReward) -> None:
    kept = quality(settings, score=0.9, loss=math.nan)
    assert reward(settings, quality=kept, latency_ms=20.0, teacher_ms=TEACHER_MS) == 0.9
    assert reward(settings, quality=kept, latency_ms=5.0, teacher_ms=TEACHER_MS) == 0.9
    assert reward(settings, quality=kept, latency_ms=25.0, teacher_ms=TEACHER_MS) == pytest.approx(0.4)  # 2 * 5 / 20


@pytest.mark.parametrize("loss", [1.0, 1.3, math.inf, math.nan])
def test_losses_that_the_form_has_no_meaning_for(loss: float) -> None:
    with pytest.raises(UserError, match=r"loss-latency needs a loss below 1, found .*clamp"):
        quality(LossReward(), score=0.9, loss=loss)
    assert quality(LossReward(outside="clamp"), score=0.9, loss=loss) == 0


@pytest.mark.parametrize("score", [-0.1, math.nan])
def test_scores_that_the_form_has_no_meaning_for(score: float) -> None:
    with pytest.raises(UserError, match="score-latency needs a score of 0 or more"):
        quality(ScoreReward(), score=score, loss=0.1)
    assert quality(ScoreReward(outside="clamp"), score=score, loss=0.1) == 0


def test_a_score_that_is_no_number_is_refused_under_a_limit() -> None:
    with pytest.raises(UserError, match="not a number"):
        quality(LimitReward(limit_ms=1), score=math.nan, loss=0.1)


@pytest.mark.parametrize("settings", [LossReward(), LimitReward(limit_ms=1)])
def test_a_latency_of_nothing_is_refused(settings: LossReward | LimitReward) -> None:
    with pytest.raises(ValueError, match="above 0"):
        reward(settings, quality=0.5, latency_ms=0.0, teacher_ms=TEACHER_MS)


@pytest.mark.parametrize("values", [{}, {"limit_ms": 1.0, "limit_share": 0.5}])
def test_a_limit_is_given_once(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="either limit_ms or limit_share"):
        LimitReward(**values)
