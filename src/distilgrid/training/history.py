"""History of a training run: losses and scores by step, in long form."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("step", "epoch", "split", "name", "value")


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
