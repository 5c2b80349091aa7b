"""The table of stages, in the order in which a grid goes through them. Light: no torch.

To add a stage: write `stages/<name>/declare.py` with a STAGE and `stages/<name>/run.py`, and a row here.
"""

from distilgrid.core.stage import Stage
from distilgrid.stages.augment.declare import STAGE as AUGMENT
from distilgrid.stages.benchmark.declare import STAGE as BENCHMARK
from distilgrid.stages.candidate.declare import STAGE as CANDIDATE
from distilgrid.stages.distill.declare import STAGE as DISTILL
from distilgrid.stages.export.declare import STAGE as EXPORT
from distilgrid.stages.features.declare import STAGE as FEATURES
from distilgrid.stages.finetune.declare import STAGE as FINETUNE
from distilgrid.stages.latency.declare import STAGE as LATENCY
from distilgrid.stages.prepare.declare import STAGE as PREPARE
from distilgrid.stages.record.declare import STAGE as RECORD
from distilgrid.stages.report.declare import STAGE as REPORT
from distilgrid.stages.search.declare import STAGE as SEARCH
from distilgrid.stages.supernet.declare import STAGE as SUPERNET

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        PREPARE,
        FINETUNE,
        AUGMENT,
        RECORD,
        LATENCY,
        SUPERNET,
        CANDIDATE,
        SEARCH,
        DISTILL,
        EXPORT,
        BENCHMARK,
        FEATURES,
        REPORT,
    )
}


def warm_stages() -> dict[str, str]:
    """The stages whose jobs start in a process that has loaded torch, and the modules that it loads for them.

    Stages that measure are not among them: what they measure runs in a clean process.
    """
    return {name: stage.module for name, stage in STAGES.items() if stage.warm}
