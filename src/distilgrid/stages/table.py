"""The table of stages, in the order in which a grid goes through them. Light: no torch.

To add a stage: write `stages/<name>/declare.py` with a STAGE and `stages/<name>/run.py`, and name it here.
"""

from distilgrid.core.loading import load
from distilgrid.core.stage import Stage

BEFORE_STUDENTS = ("prepare", "finetune", "augment", "record", "latency", "supernet", "candidate", "search")
NAMES = (*BEFORE_STUDENTS, "distill", "export", "benchmark", "features", "report")
STAGES: dict[str, Stage] = {name: load(f"distilgrid.stages.{name}.declare:STAGE") for name in NAMES}


def warm_stages() -> dict[str, str]:
    """The stages whose jobs start in a process that has loaded torch, and the modules that it loads for them.

    Stages that measure are not among them: what they measure runs in a clean process.
    """
    return {name: stage.module for name, stage in STAGES.items() if stage.warm}
