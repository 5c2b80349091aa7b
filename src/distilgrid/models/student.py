"""Students: chosen layers of their origin, or another shape, with inherited or random weights."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from distilgrid.core.errors import UserError
from distilgrid.models.inheritance import BERT_LAYOUT, inherit_important, inherit_leading
from distilgrid.models.io import load_model
from distilgrid.models.layouts import LAYERED
from distilgrid.models.settings import Student
from distilgrid.models.source import READERS, reads
from distilgrid.models.student_shape import layer_numbers, spread_layers, student_config
from distilgrid.tasks.dataset import Dataset

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)


def build_student(
    student: Student, *, origin: Path, teacher: Path | None, outputs: int, seed: int
) -> "PreTrainedModel":
    """Build a student in fp32, ready to train.

    Raises UserError for a missing layer, an impossible shape, or an origin of an unsuitable type.

    Args:
        student: layers or shape, and the origin of the weights.
        origin: folder of the pretrained model.
        teacher: folder of the fine-tuned teacher; `init: finetuned` needs it and inherits its head.
        outputs: width of the logits.
        seed: seed of all random weights.
    """
    if student.init == "finetuned" and teacher is None:
        raise UserError("init: finetuned needs the fine-tuned teacher; give --teacher-dir")
    folder = teacher if student.init == "finetuned" and teacher is not None else origin
    torch.manual_seed(seed)
    base = load_model(folder, outputs=outputs)
    if base.config.model_type == LAYERED and (student.layers is not None or student.architecture is not None):
        raise UserError(f"{folder}: its layers differ in width; set no layers or architecture")
    if student.init == "scratch":
        log.warning("student starts from random weights (init: scratch)")
    if student.architecture is None and student.init != "scratch":
        return keep_layers(base, layer_numbers(student, depth=base.config.num_hidden_layers))
    config = student_config(student, base.config)
    torch.manual_seed(seed)
    model = _from_config(config)
    if student.init != "scratch":
        _inherit(model, base, student)
    return model


def new_model(source: str, dataset: Dataset, *, seed: int) -> "PreTrainedModel":
    """Make a model of a `new:` source in fp32 from the seed. Raises UserError for a task without images."""
    from distilgrid.models.new import create_model

    shape = dataset.task_kind.batch().shape(dataset)
    return create_model(source, outputs=dataset.outputs, image=shape, seed=seed)


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
    depth, wanted = base.config.num_hidden_layers, model.config.num_hidden_layers
    if student.inherit_layers == "spread":
        keep_layers(base, spread_layers(wanted, depth=depth))
    elif student.inherit == "importance":
        keep_layers(base, list(range(min(wanted, depth))))
    if student.inherit == "leading":
        inherit_leading(model, base.state_dict())
        return
    kind, config = base.config.model_type, base.config
    if kind not in BERT_LAYOUT:
        raise UserError(f"student inherit: importance knows BERT's weights, and not those of a '{kind}'; set leading")
    inherit_important(model, base.state_dict(), layers=config.num_hidden_layers, heads=config.num_attention_heads)


def _from_config(config: "PretrainedConfig") -> "PreTrainedModel":
    if config.model_type == LAYERED:
        from distilgrid.models.layered_bert import LayeredBert

        layered: PreTrainedModel = LayeredBert._from_config(config, attn_implementation="eager")
        return layered.float().eval()
    from transformers import AutoModelForSequenceClassification

    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    return model.float().eval()
