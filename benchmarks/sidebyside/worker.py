"""One training run in a separate process: python -m sidebyside.worker WORK.json RESULT.json"""

import importlib
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from sidebyside.sample import Sample
from sidebyside.stopwatch import Stopwatch
from sidebyside.work import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Framework(Protocol):
    """What a framework's module offers."""

    def start(self, work: Work) -> None:
        """Set this process up, as the framework does where it is used."""

    def load(self, work: Work) -> "PreTrainedModel":
        """The untrained model."""

    def train(self, work: Work, model: "PreTrainedModel", sample: Sample, stopwatch: Stopwatch) -> dict[str, Any]:
        """Train in place. Returns `steps`; `pauses`, seconds between the stamps in which no step ran; and notes."""

    def finish(self, work: Work) -> dict[str, Any]:
        """What else to report, once the time has been taken."""


def main() -> None:
    """Warm up on one copy of the model, train another, report."""
    work, result = Work.read(Path(sys.argv[1])), Path(sys.argv[2])
    framework: Framework = importlib.import_module(work.framework)
    framework.start(work)
    if work.warmup:
        _train(framework, work.with_one_epoch(), work.warmup)
    model, found = _train(framework, work, work.rows)
    if work.save:
        model.save_pretrained(work.save)
    found |= {**_shape(model), **_place(work), **framework.finish(work)}
    result.write_text(json.dumps(found), encoding="utf-8")


def _train(framework: Framework, work: Work, rows: str) -> "tuple[PreTrainedModel, dict[str, Any]]":
    torch.manual_seed(work.seed)
    model, stopwatch = framework.load(work), Stopwatch()
    found = framework.train(work, model, Sample.read(rows), stopwatch)
    return model, {**found, "seconds": stopwatch.seconds - found.pop("pauses")}


def _shape(model: "PreTrainedModel") -> dict[str, Any]:
    """What the number of operations follows from."""
    matrices = [p.numel() for name, p in model.named_parameters() if p.dim() > 1 and "embeddings" not in name]
    config = model.config
    return {"matrix_weights": sum(matrices), "layers": config.num_hidden_layers, "width": config.hidden_size}


def _place(work: Work) -> dict[str, Any]:
    import transformers

    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    gpu = torch.cuda.get_device_name() if work.device == "cuda" else None
    return {"versions": versions, "gpu": gpu, "threads": torch.get_num_threads()}


if __name__ == "__main__":
    main()
