"""Results of a training run apart from its weights: history and time."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("step", "epoch", "split", "name", "value")  # of `history.parquet`
KEPT = ("steps", "epochs", "before", "stopped_early", "phases", "watched")  # in a saved state


class Clock:
    """Seconds by section: `with clock("forward"): ...`.

    On a GPU, a section counts the time to queue its work; waiting counts where a result is first read.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.started = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since the clock started."""
        return time.perf_counter() - self.started

    @contextlib.contextmanager
    def __call__(self, section: str) -> Iterator[None]:
        """Add the time of the body to a section."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[section] += time.perf_counter() - started


@dataclass
class History:
    """Records of (step, epoch, split, name, value)."""

    records: list[tuple[int, float, str, str, float]] = field(default_factory=list)

    def add(self, *, step: int, epoch: float, split: str, values: dict[str, float]) -> None:
        """Append one value per name."""
        self.records += [(step, epoch, split, name, value) for name, value in values.items()]

    def series(self, split: str, name: str) -> list[float]:
        """Values of one name, in order."""
        return [r[4] for r in self.records if r[2] == split and r[3] == name]

    def last_step(self, split: str, *, within: tuple[int, int]) -> int | None:
        """The last recorded step after `within[0]` and up to `within[1]`; None without any."""
        steps = [r[0] for r in self.records if r[2] == split and within[0] < r[0] <= within[1]]
        return max(steps, default=None)

    def means(self, split: str, *, within: tuple[int, int]) -> dict[str, float]:
        """Mean of each name over steps; a record counts for the steps since the previous one."""
        found: dict[str, list[tuple[float, int]]] = {}
        steps = sorted({r[0] for r in self.records if r[2] == split and within[0] < r[0] <= within[1]})
        counts = {step: step - before for before, step in pairwise([within[0], *steps])}
        for step, _, kind, name, value in self.records:
            if kind == split and step in counts:
                found.setdefault(name, []).append((value, counts[step]))
        return {name: sum(v * n for v, n in parts) / sum(n for _, n in parts) for name, parts in found.items()}

    def frame(self) -> "pd.DataFrame":
        """All records as a table."""
        import pandas as pd

        return pd.DataFrame(self.records, columns=list(COLUMNS))

    def write(self, path: Path) -> None:
        """Save as parquet."""
        self.frame().to_parquet(path, index=False)


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
    # losses on some training rows and on `dev`, with hard labels and without dropout; None unless asked for
    probe_loss: float | None = None
    dev_loss: float | None = None
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
