"""What happened during a training run: losses and scores by step, in long form."""

from dataclasses import dataclass, field
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
        """The values of one name, in order."""
        return [r[4] for r in self.records if r[2] == split and r[3] == name]

    def frame(self) -> "pd.DataFrame":
        """All records as a table."""
        import pandas as pd

        return pd.DataFrame(self.records, columns=list(COLUMNS))

    def write(self, path: Path) -> None:
        """Save as parquet."""
        self.frame().to_parquet(path, index=False)
