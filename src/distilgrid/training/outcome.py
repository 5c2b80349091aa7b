"""What a training run leaves behind beside its weights."""

from dataclasses import dataclass, field
from typing import Any

from distilgrid.training.history import History

KEPT = ("steps", "epochs", "before", "stopped_early", "phases", "watched")


@dataclass
class Outcome:
    """How a training run went. The model holds the weights of `best_step`.

    Attributes:
        history: losses and scores.
        best_step, best_dev: of the last phase.
        steps, epochs: done.
        before: epochs done in the phases before the present one.
        stopped_early: whether patience ended any phase.
        seconds, tokens: of training, in all processes that worked on the run one after the other.
        resumed_at: the step of the saved state that this process went on from.
        time_split: seconds by section, of this process.
        probe_loss: on some training rows, without dropout.
        phases: name, best step and scores of each, where there are several.
        watched: the best score on the watched validation split in the last phase.
        last_losses: the mean of each loss term over the last epoch that had it.
    """

    history: History = field(default_factory=History)
    best_step: int = 0
    best_dev: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    epochs: float = 0.0
    before: float = 0.0
    stopped_early: bool = False
    seconds: float = 0.0
    tokens: int = 0
    resumed_at: int = 0
    time_split: dict[str, float] = field(default_factory=dict)
    probe_loss: float | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)
    watched: float | None = None
    last_losses: dict[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """What a saved state needs of it, as JSON can hold it."""
        return {"history": self.history.records, **{name: getattr(self, name) for name in KEPT}}

    def load(self, values: dict[str, Any]) -> None:
        """Take up what a state has saved, its seconds and tokens too."""
        self.history.records = [tuple(record) for record in values["history"]]
        for name in (*KEPT, "seconds", "tokens"):
            setattr(self, name, values[name])
