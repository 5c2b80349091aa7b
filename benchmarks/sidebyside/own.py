"""DistilGrid's training, as its stages run it: one `Trainer`, scored once, after the last step.

The base model, all-MiniLM-L6-v2, was tuned on a billion pairs of sentences, among them MultiNLI, QQP and SQuAD.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distilgrid.jobs.process import start_torch_job
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.models.io import CLASSIFIER, load_model
from distilgrid.tasks.batching import Encodings, Rows
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.checkpoint import Checkpoints, Saved
from distilgrid.training.efficiency import SIZE, peak_flops
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement, choose_device, choose_precision, prepare_device
from distilgrid.training.settings import Training
from sidebyside.gpu_peak import GPU_SIZE, gpu_peak_flops
from sidebyside.sample import Sample
from sidebyside.stopwatch import Stopwatch
from sidebyside.work import LABELS, Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Stamps(Checkpoints):
    """Keeps no state; what the loop asks of it is when its steps begin and end."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__(None, key="", seconds=float("inf"), stop=lambda: False)
        self.stopwatch = stopwatch

    def load(self) -> Saved | None:
        """Called before the first step."""
        self.stopwatch.start()
        return None

    def due(self, step: int, *, last: bool) -> bool:
        """Called after each step."""
        if last:
            self.stopwatch.stop()
        return False


def start(work: Work) -> None:
    """As every training stage begins."""
    start_torch_job(threads=work.threads, log_level="warning")
    prepare_device(_placement(work), deterministic=work.options.get("deterministic", True))


def load(work: Work) -> "PreTrainedModel":
    """The pretrained model, or one of BERT-base's shape."""
    if work.model == "minilm":
        return load_model(work.folder, outputs=LABELS, auto=CLASSIFIER)
    from transformers import AutoModelForSequenceClassification, BertConfig

    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(
        BertConfig(num_labels=LABELS), attn_implementation="eager"
    )
    return model.eval()


def train(work: Work, model: "PreTrainedModel", sample: Sample, stopwatch: Stopwatch) -> dict[str, Any]:
    """One run of the training loop; the weights of its last step are kept."""
    trainer = Trainer(
        model,
        Finetune().phases(_settings(work), kind=LABEL),
        rows=_rows(sample.tokens, sample.segments, sample.offsets, sample.labels, sample),
        dev=_every_word(sample, work.max_length),
        kind=LABEL,
        metrics=["accuracy"],
        placement=_placement(work),
        seed=work.seed,
        teacher=None,
        checkpoints=Stamps(stopwatch),
    )
    trainer.stretch.due = {trainer.total}  # scored after the last step only, so that nothing is selected
    outcome = trainer.run()
    split = outcome.time_split
    return {"steps": outcome.steps, "pauses": split.pop("evaluation"), "time_split": split, "tokens": outcome.tokens}


def finish(work: Work) -> dict[str, Any]:
    """The rate of matrix products under the same threads, and the precision that was taken."""
    placement = _placement(work)
    on_gpu = placement.device.type == "cuda"
    peak = gpu_peak_flops(placement.device) if on_gpu else peak_flops(placement)
    return {"peak": peak, "peak_size": GPU_SIZE if on_gpu else SIZE, "precision": placement.precision}


def _placement(work: Work) -> Placement:
    device = choose_device(work.device)
    return Placement(device, choose_precision(work.options["precision"], device))


def _settings(work: Work) -> Training:
    given = asdict(work) | work.options
    return Training(**{name: value for name, value in given.items() if name in Training.model_fields})


def _every_word(sample: Sample, length: int) -> Rows:
    """Rows that hold every word of the split. As `dev`, they have the vocabulary cut as for the split, not the sample:
    a sample has fewer words, so its steps would move less memory than those of the whole task."""
    offsets = np.append(np.arange(0, len(sample.words), length), len(sample.words))
    labels = np.zeros(len(offsets) - 1, dtype=np.int64)
    return _rows(sample.words, np.zeros(len(sample.words), dtype=np.uint8), offsets, labels, sample)


def _rows(tokens: np.ndarray, segments: np.ndarray, offsets: np.ndarray, labels: np.ndarray, sample: Sample) -> Rows:
    return Rows(Encodings(tokens, segments, offsets, int(sample.pad[0])), torch.from_numpy(labels))
