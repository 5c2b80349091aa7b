"""Settings of controllers. Light: no torch here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings


class RandomSearch(Settings):
    """Random search: the baseline of every table."""

    kind: Literal["random"] = "random"
    """Draws candidates without repetition."""


class Evolution(Settings):
    """Regularised evolution (Real et al. 2019): the oldest of a population makes room, not the worst."""

    kind: Literal["evolution"] = "evolution"
    """The best of a few of the population has a child that differs in one choice."""
    population: int = Field(default=20, ge=2)
    """Architectures that may have children; the first ones are random. The paper's 100 needs thousands of trials."""
    tournament: int = Field(default=5, ge=1)
    """Architectures drawn from the population, the best of which is the parent; the paper draws a quarter."""

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
    """Width of each choice's embedding."""
    hidden: int = Field(default=32, ge=1)
    """Width of the LSTM."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Learning rate of RMSprop."""
    epochs: int = Field(default=10, ge=1)
    """Passes over the training data at the end of an episode."""
    batch_size: int = Field(default=1, ge=1)
    """Architectures per optimiser step. The paper is silent; few steps at the small learning rate teach nothing."""
    memory: Literal["episode", "all"] = "episode"
    """Training data: the episode's candidates with both bests, or all tried architectures."""
    targets: Literal["rewards", "standardised"] = "rewards"
    """Targets of the predictor: rewards, as in the paper, or rewards with mean 0 and deviation 1 over all observed
    ones. From those the predictor learns an order in far fewer steps."""
    epsilon: float = Field(default=1.0, ge=0, le=1)
    """Share of random candidates in the first episode."""
    epsilon_step: float = Field(default=0.05, ge=0)
    """Decrease of the share with each episode."""
    epsilon_floor: float = Field(default=0.05, ge=0, le=1)
    """Lowest share."""
    pool: int = Field(default=128, ge=1)
    """Random architectures among which the best predicted are found; the reimplementations have 100 to 150."""
    repeats: bool = False
    """Whether tried architectures are proposed again; by default they are not, because their rewards are known."""


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
    """Learning rate of Adam."""
    baseline_decay: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the exponential moving average of rewards that is subtracted from each reward."""
    entropy_weight: float = Field(default=0.0, ge=0)
    """Weight of the policy's entropy, which prevents early convergence; in units of reward per nat."""
    draws: int = Field(default=4, ge=1)
    """Largest number of draws per candidate of an episode until all differ; every draw counts in the gradient."""
    depth_episodes: int = Field(default=4, ge=0)
    """Episodes of the first phase; 0 decides all at once."""
    reference: dict[str, int | str] = Field(default_factory=dict)
    """Values held in the first phase by name (`hidden: 384`); other choices take their largest value, an activation
    its first. Under a limit on parameters or latency, the largest sizes make deep encoders look worse than they are:
    name sizes that even the deepest encoder can have."""


class Optuna(Settings):
    """Model-based or evolutionary search by Optuna (Akiba et al. 2019)."""

    kind: Literal["optuna"] = "optuna"
    """Optuna's ask and tell, in memory."""
    sampler: Literal["tpe", "nsga2"] = "tpe"
    """`tpe` maximises the reward by Parzen estimators; `nsga2` evolves the front of quality and latency."""
    startup: int = Field(default=10, ge=0)
    """Random trials before TPE's model; unused by NSGA-II."""
    population: int = Field(default=20, ge=2)
    """Size of a generation of NSGA-II; unused by TPE."""


ControllerSettings = Annotated[
    RandomSearch | Evolution | KDNAS | Reinforce | Optuna,
    Field(discriminator="kind"),
]
