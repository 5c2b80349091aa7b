"""The start of a job: threads, GPUs, and how training computes. Light until a job asks for torch."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.artefacts import RANK
from distilgrid.core.gpus import take_gpus
from distilgrid.jobs import process
from distilgrid.training.settings import Execution

if TYPE_CHECKING:
    from distilgrid.plan.params import Params


def start(params: "Params", *, threads: int | None, torch: bool, environment: Mapping[str, str] | None = None) -> int:
    """Set up this process as a job, with GPUs for itself where the machine has any; returns its number of threads.

    Args:
        params: whose section `resources` says how jobs run.
        threads: of this process; None takes `resources.threads`.
        torch: whether the job computes with torch.
        environment: variables for the libraries that it loads; those that are set stay.
    """
    for name, value in (environment or {}).items():
        os.environ.setdefault(name, value)
    resources = params.resources
    if torch and resources.device != "cpu" and RANK not in os.environ:  # helpers share those of their job
        take_gpus(count=resources.processes, cells_per_gpu=resources.cells_per_gpu)
    whole = threads or resources.threads
    count = max(1, whole // resources.processes) if torch else whole
    begin = process.start_torch_job if torch else process.start_job
    begin(threads=count, log_level=resources.log_level)
    return count


def execution(params: "Params", options: Mapping[str, Any]) -> Execution:
    """How a job of these parameters computes."""
    resources, trace = params.resources, options.get("profile")
    return Execution(
        device=resources.device,
        processes=resources.processes,
        checkpoint_seconds=resources.checkpoint_seconds,
        deterministic=resources.deterministic,
        profile=Path(trace) if trace else None,
    )
