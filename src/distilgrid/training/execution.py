"""Execution settings of a training job, which change results only by the device's rounding. Light: no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Execution:
    """Execution settings of a training job."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # `auto` takes a GPU if there is one
    processes: int = 1  # data-parallel processes, each with a GPU or a part of the threads
    checkpoint_seconds: float = 60.0  # time between two saves of the training state
    deterministic: bool = True  # whether a GPU may only use algorithms that repeat the same bits
    profile: Path | None = None  # file for a trace of some steps, for https://ui.perfetto.dev; None traces nothing
