"""Results of a training run apart from its weights."""

from dataclasses import dataclass, field
from typing import Any

from distilgrid.training.history import History

KEPT = ("steps", "epochs", "before", "stopped_early", "phases", "watched")


@dataclass
class Outcome:
    """Results of a training run. The model holds the weights of `best_step`.

    Attributes:
        history: losses and scores.
        best_step, best_dev: best step and scores of the last phase.
        steps, epochs: finished steps and epochs.
        before: epochs of earlier phases.
        stopped_early: whether patience ended any phase.
        seconds, tokens: totals over all successive processes of the run.
        resumed_at: step of the saved state that this process continued from.
        time_split: seconds of this process by section.
        probe_loss: loss on some training rows, without dropout.
        phases: name, best step and scores of each phase, if there are several.
        watched: best score on the watched validation split in the last phase.
        last_losses: mean of each loss term over the last epoch that had it.
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
        """Values for a saved state, as JSON can hold them."""
        return {"history": self.history.records, **{name: getattr(self, name) for name in KEPT}}

    def load(self, values: dict[str, Any]) -> None:
        """Restore saved values, with `seconds` and `tokens`."""
        self.history.records = [tuple(record) for record in values["history"]]
        for name in (*KEPT, "seconds", "tokens"):
            setattr(self, name, values[name])
