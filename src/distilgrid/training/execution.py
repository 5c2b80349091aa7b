"""How a training job runs. Nothing here decides a result beyond the rounding of the device. Light: no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Execution:
    """How a training job runs.

    Attributes:
        device: `auto` takes a GPU where there is one.
        processes: that share each batch (data-parallel); each takes a GPU, or its part of the threads.
        checkpoint_seconds: time between two saves of the training state.
        deterministic: whether a GPU may only use algorithms that give the same bits each time.
        profile: file for a trace of some steps, for https://ui.perfetto.dev; None traces nothing.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: int = 1
    checkpoint_seconds: float = 60.0
    deterministic: bool = True
    profile: Path | None = None
