"""What a user can set for each controller. Light: no torch here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings


class RandomSearch(Settings):
    """Random search: the baseline of every table."""

    kind: Literal["random"] = "random"
    """Candidates are drawn without repetition."""


class Evolution(Settings):
    """Regularised evolution (Real et al. 2019): the oldest of a population makes room, not the worst."""

    kind: Literal["evolution"] = "evolution"
    """The best of a few of the population has a child that differs in one choice."""
    population: int = Field(default=20, ge=2)
    """Architectures that may have children; the first ones are random. The paper's 100 needs thousands of trials."""
    tournament: int = Field(default=5, ge=1)
    """Of the population, how many are drawn for the best of them to be the parent; the paper's is a quarter."""

    @model_validator(mode="after")
    def _tournament_fits(self) -> "Evolution":
        if self.tournament > self.population:
            raise ValueError(f"tournament {self.tournament} is larger than population {self.population}")
        return self


class KDNAS(Settings):
    """KD-NAS (Trivedi et al. 2023): an LSTM predicts rewards; candidates are random, or the best predicted ones.

    Where the paper is silent the values follow two public reimplementations.
    """

    kind: Literal["kd_nas"] = "kd_nas"
    """A reward predictor that reads the previous episode's best, the global best and a candidate."""
    embedding: int = Field(default=32, ge=1)
    """Width of each choice's embedding; those of an architecture stand side by side."""
    hidden: int = Field(default=32, ge=1)
    """Width of the LSTM."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of RMSprop."""
    epochs: int = Field(default=10, ge=1)
    """Passes over what is trained on at the end of an episode."""
    batch_size: int = Field(default=1, ge=1)
    """Architectures of one optimiser step; the paper is silent, and few steps at the small learning rate teach
    nothing."""
    memory: Literal["episode", "all"] = "episode"
    """What is trained on: the episode's candidates with both bests, or all that was ever tried."""
    targets: Literal["rewards", "standardised"] = "rewards"
    """What is predicted: the rewards as they are, as in the paper, or with the mean 0 and the deviation 1 of all that
    were observed so far, from which the predictor learns an order in far fewer steps."""
    epsilon: float = Field(default=1.0, ge=0, le=1)
    """Share of random candidates in the first episode."""
    epsilon_step: float = Field(default=0.05, ge=0)
    """What the share loses with each episode."""
    epsilon_floor: float = Field(default=0.05, ge=0, le=1)
    """Where the share stays."""
    pool: int = Field(default=128, ge=1)
    """Random architectures among which the best predicted are found; the reimplementations have 100 to 150."""
    repeats: bool = False
    """Whether architectures that were tried are proposed again; their rewards are known, so by default they are not."""


class Reinforce(Settings):
    """Compiler-aware search (Niu et al. 2020): a recurrent policy, trained by policy gradient in two phases.

    First the number of blocks with all sizes held, then the sizes with the number of blocks held. The paper gives no
    constants; these are ours.
    """

    kind: Literal["reinforce"] = "reinforce"
    """An LSTM makes one decision after the other."""
    embedding: int = Field(default=32, ge=1)
    """Width of a decision's embedding, the LSTM's next input."""
    hidden: int = Field(default=64, ge=1)
    """Width of the LSTM."""
    learning_rate: float = Field(default=0.01, gt=0)
    """Of Adam."""
    baseline_decay: float = Field(default=0.9, ge=0, lt=1)
    """Of the exponential moving average of rewards that is subtracted from each reward."""
    entropy_weight: float = Field(default=0.0, ge=0)
    """Of the policy's entropy, which keeps it from settling early; in units of reward per nat."""
    draws: int = Field(default=4, ge=1)
    """At most so many times the candidates of an episode are drawn until they differ; every draw counts in the
    gradient."""
    depth_episodes: int = Field(default=4, ge=0)
    """Episodes of the first phase; 0 decides all at once."""
    reference: dict[str, int | str] = Field(default_factory=dict)
    """Values held in the first phase by name (`hidden: 384`); what is not named takes its largest value, an
    activation its first. Under a limit on parameters or latency the largest sizes make deep encoders look worse than
    they are: name sizes that even the deepest can have."""


class Optuna(Settings):
    """A library's model-based or evolutionary search (Akiba et al. 2019)."""

    kind: Literal["optuna"] = "optuna"
    """Optuna's ask and tell, in memory."""
    sampler: Literal["tpe", "nsga2"] = "tpe"
    """`tpe` makes the reward large by Parzen estimators; `nsga2` evolves the front of quality and latency."""
    startup: int = Field(default=10, ge=0)
    """Random trials before TPE's model; unused by NSGA-II."""
    population: int = Field(default=20, ge=2)
    """Of a generation of NSGA-II; unused by TPE."""


ControllerSettings = Annotated[
    RandomSearch | Evolution | KDNAS | Reinforce | Optuna,
    Field(discriminator="kind"),
]
