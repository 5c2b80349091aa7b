"""Settings of the training loop and of its execution. Light: no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema

from distilgrid.core.errors import did_you_mean
from distilgrid.core.schema import Settings, deep_merge, self_contained_schema
from distilgrid.tasks.settings import Views

WHOLE_RUN = ("views", "max_length", "precision", "watch_validation", "engine")
"""Training settings that a run of several phases has only once."""


class Training(Settings):
    """How a model is trained; the same loop serves teachers, baselines and every distillation method."""

    epochs: int = Field(default=3, ge=1, le=100_000)
    """Passes over the training rows."""
    batch_size: int = Field(default=32, ge=1)
    """Rows per optimiser step; an upper bound with `batch_tokens`."""
    batch_tokens: int | None = Field(default=None, ge=8)
    """Upper bound on the tokens of a batch, padding included; long rows come in smaller batches. Null sets none."""
    batching: Literal["bucketed", "random"] = "bucketed"
    """`bucketed` puts rows of similar length together, within random buckets of 32 batches; `random` pads far more."""
    accumulation: int = Field(default=1, ge=1)
    """Parts that a batch is cut into, to save memory; their gradients add up to the whole batch's."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """`adamw`, as transformers are trained, or `sgd` with momentum, as convolutional networks are."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate."""
    schedule: Literal["linear", "steps", "constant"] = "linear"
    """Rate after the warm-up: linear to zero, a tenth after each of 50 % and 75 % of the steps, or constant."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps during which the learning rate rises linearly from zero."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay: decoupled in AdamW, part of the gradient in SGD. Biases and norms are exempt."""
    decay_vectors: bool = False
    """Decay biases and norms as well, as in the original training of ResNets."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor on the learning rate for each layer further from the head; 1 trains all layers alike."""
    average_decay: float | None = Field(default=None, gt=0, lt=1)
    """Decay per step of an exponential moving average of the weights, which is scored and kept; null keeps none."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Gradients are scaled down to this global norm; null leaves them."""
    max_length: int = Field(default=128, ge=4, le=512)
    """Longest input in tokens, special tokens included; longer texts are truncated."""
    views: Views = Field(default_factory=Views)
    """Random views of training images in each epoch."""
    evaluations_per_epoch: int = Field(default=1, ge=1)
    """How often per epoch the model is scored on `dev`; the best checkpoint by the task's main metric is kept."""
    watch_validation: bool = False
    """Also score the main validation split each time. `optimistic_score` reports the best of these scores in the last
    phase, which some public code takes for its result. It selects nothing."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many evaluations without a better dev score; null never stops early. Evaluations count once the
    losses stop changing: from T = 1 in Annealing-KD, from the use of labels in Continuation-KD, and never with
    `psi: linear`. A stage that stops early passes on to the next one."""
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """Precision of matrix products; weights, losses and softmax stay in fp32. `auto` takes bf16 on machines that
    accelerate it."""
    engine: Literal["auto", "plain"] = "auto"
    """`auto` trains BERT-like encoders on CPUs through layers with a written-out backward pass; `plain` never does."""

    def under(self, *overrides: Mapping[str, Any]) -> "Training":
        """These settings with overrides on top, the last ones uppermost; `views` merges key by key, as in files."""
        values: Mapping[str, Any] = self.model_dump()
        for own in overrides:
            values = deep_merge(values, own)
        return Training(**values)


def check_training_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
    """Check a partial training section. Raises ValueError naming an unknown key or a value out of range."""
    for name in overrides:
        if name not in Training.model_fields:
            raise ValueError(f"'{name}' is not a training setting; {did_you_mean(name, Training.model_fields)}")
    try:
        Training(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg']}") from None
    return overrides


def check_stage_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
    """Check the overrides of one stage of a method. Raises ValueError for settings of the whole run too."""
    fixed = next((name for name in overrides if name in WHOLE_RUN), None)
    if fixed is not None:
        raise ValueError(f"'{fixed}' is of the whole run, not of a stage; set it in the method's `training`")
    return check_training_overrides(overrides)


TrainingOverrides = Annotated[
    dict[str, Any], AfterValidator(check_training_overrides), WithJsonSchema(self_contained_schema(Training))
]
"""Training settings of a teacher, a method or a student, over the `training` section's."""

StageOverrides = Annotated[
    dict[str, Any],
    AfterValidator(check_stage_overrides),
    WithJsonSchema(self_contained_schema(Training, without=WHOLE_RUN)),
]
"""Training settings of one stage of a run, over the method's."""


@dataclass(frozen=True)
class Execution:
    """Execution settings of a job, which change results only by the device's rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # `auto` takes a GPU if there is one
    processes: int = 1  # data-parallel processes, each with a GPU or a part of the threads
    checkpoint_seconds: float = 60.0  # time between two saves of unfinished work
    deterministic: bool = True  # whether a GPU may only use algorithms that repeat the same bits
    profile: Path | None = None  # file for a trace of some steps, for https://ui.perfetto.dev; None traces nothing
