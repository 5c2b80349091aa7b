"""torchdistill's TrainingBox, configured as its sample configurations for GLUE are and driven as its example drives it.

The example script and the configurations are in its repository, not in its wheel: examples/hf_transformers and
configs/sample/glue/*/ce. Settings here are those of the other contenders; the precision is accelerate's.
"""

import importlib
import math
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from sidebyside.sample import Sample
from sidebyside.stopwatch import Stopwatch
from sidebyside.work import Work
from torch import nn
from torch.utils.data import RandomSampler
from transformers import get_linear_schedule_with_warmup

from peers.models import load_model as load
from peers.models import padding_collator

if TYPE_CHECKING:
    from torchdistill.core.training import TrainingBox
    from transformers import PreTrainedModel

__all__ = ["finish", "load", "start", "train"]
LOG_STEPS = 500


def start(work: Work) -> None:
    """Register the parts that the configuration names."""
    importlib.import_module("torchvision.datasets")  # torchdistill looks it up among what is imported
    from torchdistill.datasets.registry import register_collate_func
    from torchdistill.losses.registry import register_func2extract_model_output
    from torchdistill.optim.registry import register_optimizer, register_scheduler

    register_collate_func(padding_collator(work), key="padding")
    register_func2extract_model_output(lambda outputs, *_, **__: {"loss": outputs.loss}, key="own_loss")
    register_optimizer(_adamw, key="grouped_adamw")
    register_scheduler(get_linear_schedule_with_warmup)


def train(work: Work, model: "PreTrainedModel", sample: Sample, stopwatch: Stopwatch) -> dict[str, Any]:
    """All epochs; the loss is read at every step, as the example does."""
    from torchdistill.misc.log import MetricLogger

    torch.manual_seed(work.seed)
    box, steps = _box(work, model, sample), 0
    for epoch in range(box.num_epochs):
        box.pre_epoch_process(epoch=epoch)
        logger = MetricLogger(delimiter="  ")
        for batch in logger.log_every(box.train_data_loader, LOG_STEPS, f"Epoch: [{epoch}]"):
            stopwatch.start()
            loss = box.forward_process(batch, targets=None, supp_dict=None)
            box.post_forward_process(loss=loss)
            logger.update(loss=loss.item(), lr=box.optimizer.param_groups[0]["lr"])
            steps += 1
        stopwatch.stop()
        box.post_epoch_process()
    return {"steps": steps, "pauses": 0.0}


def finish(work: Work) -> dict[str, Any]:
    """Nothing else to report."""
    return {}


def _box(work: Work, model: "PreTrainedModel", sample: Sample) -> "TrainingBox":
    from torchdistill.core.training import get_training_box

    precision = "bf16" if work.options.get("bf16") else "no"
    accelerator = Accelerator(cpu=work.device == "cpu", mixed_precision=precision)
    place = accelerator.device
    steps = math.ceil(len(sample) / work.batch_size) * work.epochs
    return get_training_box(
        model, {"train": sample.features()}, _configuration(work, steps), place, [place.index], False, 1, accelerator
    )


def _configuration(work: Work, steps: int) -> dict[str, Any]:
    loader = {"batch_size": work.batch_size, "num_workers": 0, "pin_memory": work.device == "cuda"}
    optimiser = {"lr": work.learning_rate, "weight_decay": work.weight_decay}
    schedule = {"num_warmup_steps": math.ceil(steps * work.warmup_fraction), "num_training_steps": steps}
    return {
        "num_epochs": work.epochs,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": RandomSampler},
            "kwargs": loader,
            "collate_fn": "padding",
            "requires_supp": False,
        },
        "model": {"forward_proc": "forward_batch_only_as_kwargs"},
        "optimizer": {
            "key": "grouped_adamw",
            "kwargs": optimiser,
            "filters_params": False,
            "max_grad_norm": work.max_grad_norm,
        },
        "scheduler": {"key": "get_linear_schedule_with_warmup", "kwargs": schedule, "scheduling_step": 1},
        "criterion": {
            "key": "WeightedSumLoss",
            "func2extract_model_loss": "own_loss",
            "kwargs": {"model_term": {"weight": 1.0}},
        },
    }


def _adamw(module: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW with biases and layer norms exempt from weight decay, as in the example."""
    parameters = list(module.parameters())
    matrices, vectors = [p for p in parameters if p.dim() > 1], [p for p in parameters if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr)
