"""Results of a training run apart from its weights."""

from dataclasses import dataclass, field
from typing import Any

from distilgrid.training.history import History

KEPT = ("steps", "epochs", "before", "stopped_early", "phases", "watched")


@dataclass
class Outcome:
    """Results of a training run. The model holds the weights of `best_step`."""

    history: History = field(default_factory=History)  # losses and scores
    best_step: int = 0  # best step and scores of the last phase
    best_dev: dict[str, float] = field(default_factory=dict)
    steps: int = 0  # finished steps and epochs
    epochs: float = 0.0
    before: float = 0.0  # epochs of earlier phases
    stopped_early: bool = False  # whether patience ended any phase
    seconds: float = 0.0  # totals over all successive processes of the run
    tokens: int = 0
    resumed_at: int = 0  # step of the saved state that this process continued from
    time_split: dict[str, float] = field(default_factory=dict)  # seconds of this process by section
    probe_loss: float | None = None  # loss on some training rows, without dropout
    # name, best step and scores of each phase, if there are several
    phases: list[dict[str, Any]] = field(default_factory=list)
    watched: float | None = None  # best score on the watched validation split in the last phase
    # mean of each loss term over the last epoch that had it
    last_losses: dict[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Values for a saved state, as JSON can hold them."""
        return {"history": self.history.records, **{name: getattr(self, name) for name in KEPT}}

    def load(self, values: dict[str, Any]) -> None:
        """Restore saved values, with `seconds` and `tokens`."""
        self.history.records = [tuple(record) for record in values["history"]]
        for name in (*KEPT, "seconds", "tokens"):
            setattr(self, name, values[name])
