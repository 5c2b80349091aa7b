"""Hugging Face's Trainer, set up as its example `run_glue.py` does."""

from typing import TYPE_CHECKING, Any

from sidebyside.sample import Sample
from sidebyside.stopwatch import Stopwatch
from sidebyside.work import Work
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    default_data_collator,
)

from peers.models import load_model as load
from peers.models import padding_collator

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["finish", "load", "start", "train"]


class Stamps(TrainerCallback):
    """Stamps the first step's begin and the last step's end."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Called once a step's batch is there."""
        self.stopwatch.start()

    def on_step_end(self, _: TrainingArguments, state: TrainerState, control: TrainerControl, **__: Any) -> None:
        """Called after a step's update."""
        if state.global_step == state.max_steps:
            self.stopwatch.stop()


def start(work: Work) -> None:
    """The Trainer needs nothing: threads come from the environment."""


def train(work: Work, model: "PreTrainedModel", sample: Sample, stopwatch: Stopwatch) -> dict[str, Any]:
    """`Trainer.train` with nothing but training: no evaluation, no checkpoint, no report."""
    padded = work.options.get("padded", False)
    trainer = Trainer(
        model=model,
        args=_arguments(work),
        train_dataset=sample.features(pad_to=work.max_length if padded else None),
        data_collator=default_data_collator if padded else padding_collator(work),
        callbacks=[Stamps(stopwatch)],
    )
    trainer.train()
    return {"steps": trainer.state.global_step, "pauses": 0.0}


def finish(work: Work) -> dict[str, Any]:
    """Nothing else to report."""
    return {}


def _arguments(work: Work) -> TrainingArguments:
    return TrainingArguments(
        output_dir=work.scratch,
        per_device_train_batch_size=work.batch_size,
        num_train_epochs=work.epochs,
        learning_rate=work.learning_rate,
        warmup_steps=work.warmup_fraction,  # a number below 1 is a share of all steps
        weight_decay=work.weight_decay,
        max_grad_norm=work.max_grad_norm,
        seed=work.seed,
        bf16=work.options.get("bf16", False),
        train_sampling_strategy=work.options.get("sampling", "random"),
        use_cpu=work.device == "cpu",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
