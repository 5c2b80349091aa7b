"""What a user can set for the reward of a search. Light: no torch here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings


class LatencyPower(Settings):
    """Rewards with the factor (lat(S) / (beta * lat(T)))^alpha, S a candidate and T the teacher (KD-NAS)."""

    alpha: float = Field(default=-0.06, le=0)
    """Exponent of the latency ratio; the more negative, the more a slow candidate loses. 0 leaves latency out."""
    beta: float = Field(default=0.6, gt=0)
    """Target latency as a share of the teacher's: a candidate that meets it has the factor 1."""
    outside: Literal["refuse", "clamp"] = "refuse"
    """What happens where the product has no meaning (a loss of 1 or more, a score below 0, or no number at all):
    `refuse` stops the search, `clamp` gives the quality 0."""


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

    The paper (Niu et al. 2020) says that exceeding the limit is penalised, not how: this form is ours.
    """

    kind: Literal["score-limit"] = "score-limit"
    """The quality is a candidate's score on `dev`; latency counts only beyond the limit."""
    limit_ms: float | None = Field(default=None, gt=0)
    """The latency limit in ms; give this or `limit_share`."""
    limit_share: float | None = Field(default=None, gt=0)
    """The latency limit as a share of the teacher's latency; give this or `limit_ms`."""
    gamma: float = Field(default=1.0, gt=0)
    """Score that a candidate loses at twice the limit; in proportion below and above."""

    @model_validator(mode="after")
    def _one_limit(self) -> "LimitReward":
        if (self.limit_ms is None) == (self.limit_share is None):
            raise ValueError("give either limit_ms or limit_share")
        return self


Reward = Annotated[LossReward | ScoreReward | LimitReward, Field(discriminator="kind")]
