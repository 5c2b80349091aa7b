"""Building a student: chosen layers of its origin, or a shape of its own, with weights inherited or drawn at random."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from distilgrid.errors import UserError
from distilgrid.models.io import load_model
from distilgrid.models.settings import Student
from distilgrid.models.source import is_new
from distilgrid.tasks.dataset import Dataset

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)


def build_student(
    student: Student, *, origin: Path, teacher: Path | None, outputs: int, seed: int
) -> "PreTrainedModel":
    """A student model in fp32, ready to train.

    Args:
        student: layers or shape, and where the weights come from.
        origin: the pretrained model's folder.
        teacher: the fine-tuned teacher's folder; needed for `init: finetuned`, whose head is inherited too.
        outputs: width of the logits.
        seed: seed of every weight that is drawn at random.

    Raises:
        UserError: when a chosen layer does not exist, or the shape is impossible.
    """
    if student.init == "finetuned" and teacher is None:
        raise UserError("init: finetuned needs the fine-tuned teacher; give --teacher-dir")
    folder = teacher if student.init == "finetuned" and teacher is not None else origin
    torch.manual_seed(seed)
    base = load_model(folder, outputs=outputs)
    if student.init == "scratch":
        log.warning("student starts from random weights (init: scratch)")
    if student.architecture is None and student.init != "scratch":
        return keep_layers(base, layer_numbers(student, depth=base.config.num_hidden_layers))
    config = _student_config(student, base.config)
    torch.manual_seed(seed)
    model = _from_config(config)
    if student.init != "scratch":
        inherit_leading(model, base.state_dict())
    return model


def new_model(source: str, dataset: Dataset, *, seed: int) -> "PreTrainedModel":
    """A model of a `new:` source for an image task, in fp32, with weights from the seed."""
    from distilgrid.models.new import create_model

    assert dataset.image is not None, "checked before"
    return create_model(source, outputs=dataset.outputs, image=dataset.image, seed=seed)


def check_kinds(source: str, dataset: Dataset) -> None:
    """Refuse a model that cannot read what a task is made of.

    Raises:
        UserError: naming both.
    """
    if is_new(source) and dataset.image is None:
        raise UserError(f"task '{dataset.task}' is made of texts, but '{source}' reads images; take a language model")
    if not is_new(source) and dataset.image is not None:
        raise UserError(f"task '{dataset.task}' is made of images, but '{source}' reads texts; take a new: model")


def layer_numbers(student: Student, *, depth: int) -> list[int]:
    """The origin's layers that a student keeps, counted from 0.

    Raises:
        UserError: for a layer that the origin does not have.
    """
    if student.layers is None:
        return list(range(depth))
    numbers = list(range(student.layers)) if isinstance(student.layers, int) else student.layers
    wrong = [n for n in numbers if not 0 <= n < depth]
    if wrong:
        raise UserError(f"student layers: {wrong[0]} does not exist; the origin has layers 0 to {depth - 1}")
    return numbers


def keep_layers(model: "PreTrainedModel", numbers: list[int]) -> "PreTrainedModel":
    """The model with only the chosen transformer layers, in the given order."""
    stack_name, stack = _layer_stack(model)
    parent = model.get_submodule(stack_name.rpartition(".")[0])
    setattr(parent, stack_name.rpartition(".")[2], nn.ModuleList([stack[n] for n in numbers]))
    model.config.num_hidden_layers = len(numbers)
    return model


def inherit_leading(model: nn.Module, source: dict[str, Tensor]) -> None:
    """Copy into each weight the leading rows and columns of the equally named source weight, as far as both reach.

    Layers keep their numbers, so a shallower model inherits the first ones, and a narrower one the first units.
    """
    with torch.no_grad():
        for name, target in model.state_dict().items():
            if name in source and source[name].dim() == target.dim():
                overlap = tuple(slice(0, min(a, b)) for a, b in zip(target.shape, source[name].shape, strict=True))
                target[overlap] = source[name][overlap]


def _layer_stack(model: "PreTrainedModel") -> tuple[str, nn.ModuleList]:
    """The list of transformer layers, by its dotted name."""
    depth = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth and name.endswith(("layer", "layers")):
            return name, module
    raise UserError(f"model type '{model.config.model_type}': found no list of layers; use an encoder such as BERT")


def _student_config(student: Student, origin: "PretrainedConfig") -> "PretrainedConfig":
    config = origin.__class__.from_dict(origin.to_dict())
    shape = student.architecture.model_dump(exclude_none=True) if student.architecture else {}
    if student.layers is not None:
        shape["num_hidden_layers"] = len(layer_numbers(student, depth=origin.num_hidden_layers))
    if "intermediate_size" in shape and not hasattr(config, "intermediate_size"):
        shape["hidden_dim"] = shape.pop("intermediate_size")  # DistilBERT's name for it
    for name, value in shape.items():
        if not hasattr(config, name):
            raise UserError(f"student architecture: a '{config.model_type}' model has no {name}; leave it out")
        setattr(config, name, value)
    if config.hidden_size % config.num_attention_heads:
        raise UserError(
            f"student architecture: hidden_size {config.hidden_size} is no multiple of "
            f"num_attention_heads {config.num_attention_heads}; change one of them"
        )
    return config


def _from_config(config: "PretrainedConfig") -> "PreTrainedModel":
    from transformers import AutoModelForSequenceClassification

    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    return model.float().eval()
