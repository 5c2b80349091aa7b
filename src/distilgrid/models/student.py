"""Students: chosen layers of their origin, or another shape, with inherited or random weights."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from distilgrid.core.errors import UserError
from distilgrid.models.io import from_config, load_model
from distilgrid.models.settings import Student, StudentShape
from distilgrid.models.shapes import check_heads, layer_numbers, spread_layers
from distilgrid.models.source import READERS, reads
from distilgrid.tasks.dataset import Dataset

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)


def build_student(
    student: Student, *, origin: Path, teacher: Path | None, outputs: int, auto: str, seed: int
) -> "PreTrainedModel":
    """Build a student in fp32, ready to train.

    Raises UserError for a missing layer, an impossible shape, or an origin of an unsuitable type.

    Args:
        student: layers or shape, and the origin of the weights.
        origin: folder of the pretrained model.
        teacher: folder of the fine-tuned teacher; `init: finetuned` needs it and inherits its head.
        outputs, auto: width and class of the head, as in `load_model`.
        seed: seed of all random weights.
    """
    from distilgrid.models.facts import check_origin

    if student.init == "finetuned" and teacher is None:
        raise UserError("init: finetuned needs the fine-tuned teacher; give --teacher-dir")
    folder = teacher if student.init == "finetuned" and teacher is not None else origin
    torch.manual_seed(seed)
    base = load_model(folder, outputs=outputs, auto=auto)
    check_origin(student, base.config.to_dict(), origin=folder)
    if student.init == "scratch":
        log.warning("student starts from random weights (init: scratch)")
    if student.architecture is None and student.init != "scratch":
        return keep_layers(base, layer_numbers(student, depth=base.config.num_hidden_layers))
    config = student_config(student, base.config)
    torch.manual_seed(seed)
    model = from_config(config, auto=auto)
    if student.init != "scratch":
        _inherit(model, base, student)
    return model


def check_kinds(source: str, dataset: Dataset) -> None:
    """Refuse a model that cannot read a task's rows. Raises UserError naming both."""
    kind = dataset.task_kind
    if reads(source) != kind.modality:
        made = f"task '{dataset.task}' is made of {kind.words.rows}, but '{source}' reads {reads(source)}s"
        raise UserError(f"{made}; take {READERS.get(kind.modality, f'a model of {kind.words.rows}')}")


def keep_layers(model: "PreTrainedModel", numbers: list[int]) -> "PreTrainedModel":
    """Reduce the model to the chosen transformer layers, in the given order."""
    stack_name, stack = _layer_stack(model)
    parent = model.get_submodule(stack_name.rpartition(".")[0])
    setattr(parent, stack_name.rpartition(".")[2], nn.ModuleList([stack[n] for n in numbers]))
    model.config.num_hidden_layers = len(numbers)
    return model


def _layer_stack(model: "PreTrainedModel") -> tuple[str, nn.ModuleList]:
    """Find the list of transformer layers and its dotted name."""
    depth = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth and name.endswith(("layer", "layers")):
            return name, module
    raise UserError(f"model type '{model.config.model_type}': found no list of layers; use an encoder such as BERT")


def _inherit(model: "PreTrainedModel", base: "PreTrainedModel", student: Student) -> None:
    """Fill a student of another shape from its origin, which may lose layers without a counterpart."""
    from distilgrid.models.inheritance import inherit_important, inherit_leading

    depth, wanted = base.config.num_hidden_layers, model.config.num_hidden_layers
    if student.inherit_layers == "spread":
        keep_layers(base, spread_layers(wanted, depth=depth))
    elif student.inherit == "importance":
        keep_layers(base, list(range(min(wanted, depth))))
    if student.inherit == "leading":
        inherit_leading(model, base.state_dict())
        return
    config = base.config
    inherit_important(model, base.state_dict(), layers=config.num_hidden_layers, heads=config.num_attention_heads)


def student_config(student: Student, origin: "PretrainedConfig") -> "PretrainedConfig":
    """The configuration of a student of another shape. Raises UserError for an impossible shape or a missing size."""
    if student.architecture is not None and student.architecture.layered:
        return _layered_config(student.architecture, origin)
    config = origin.__class__.from_dict(origin.to_dict())
    shape = student.architecture.model_dump(exclude_none=True) if student.architecture else {}
    if student.layers is not None:
        shape["num_hidden_layers"] = len(layer_numbers(student, depth=origin.num_hidden_layers))
    if "intermediate_size" in shape and not hasattr(config, "intermediate_size"):
        shape["hidden_dim"] = shape.pop("intermediate_size")  # DistilBERT's name for it
    if "hidden_act" in shape and not hasattr(config, "hidden_act"):
        shape["activation"] = shape.pop("hidden_act")  # and for this
    for name, value in shape.items():
        if not hasattr(config, name):
            raise UserError(f"student architecture: a '{config.model_type}' model has no {name}; leave it out")
        setattr(config, name, value)
    check_heads([config.hidden_size], config.num_attention_heads)
    return config


def _layered_config(shape: StudentShape, origin: "PretrainedConfig") -> "PretrainedConfig":
    from distilgrid.models.layered_bert import LayeredBertConfig

    assert shape.hidden_sizes is not None and shape.intermediate_sizes is not None, "checked with the settings"
    heads = shape.num_attention_heads or origin.num_attention_heads
    check_heads(shape.hidden_sizes, heads, field="hidden_sizes")
    values = {**origin.to_dict(), "num_attention_heads": heads, "hidden_act": shape.hidden_act or origin.hidden_act}
    return LayeredBertConfig.of(values, hidden=shape.hidden_sizes, feed_forward=shape.intermediate_sizes)
