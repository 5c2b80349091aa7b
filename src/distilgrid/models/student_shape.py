"""Layers and sizes of a student, from its settings and its origin's configuration."""

from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.models.settings import Student, StudentShape

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def layer_numbers(student: Student, *, depth: int) -> list[int]:
    """The origin's layers that a student keeps, counted from 0. Raises UserError for a missing layer."""
    if student.layers is None:
        return list(range(depth))
    numbers = list(range(student.layers)) if isinstance(student.layers, int) else student.layers
    wrong = [n for n in numbers if not 0 <= n < depth]
    if wrong:
        raise UserError(f"student layers: {wrong[0]} does not exist; the origin has layers 0 to {depth - 1}")
    return numbers


def spread_layers(count: int, *, depth: int) -> list[int]:
    """The origin's layers, counted from 0, that a shallower shape of `count` layers inherits if they are spread.

    These are the last of each of `count` equal parts, as PKD-skip chooses the layers to imitate, or all layers.
    """
    return [(number + 1) * depth // count - 1 for number in range(count)] if count < depth else list(range(depth))


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
    if config.hidden_size % config.num_attention_heads:
        raise UserError(
            f"student architecture: hidden_size {config.hidden_size} is not a multiple of "
            f"num_attention_heads {config.num_attention_heads}; change one of them"
        )
    return config


def _layered_config(shape: StudentShape, origin: "PretrainedConfig") -> "PretrainedConfig":
    from distilgrid.models.layered_bert import LayeredBertConfig

    assert shape.hidden_sizes is not None and shape.intermediate_sizes is not None, "checked with the settings"
    if origin.model_type != "bert":
        raise UserError(f"student architecture: hidden_sizes need a 'bert' as origin, not a '{origin.model_type}'")
    heads = shape.num_attention_heads or origin.num_attention_heads
    for width in shape.hidden_sizes:
        if width % heads:
            raise UserError(
                f"student architecture: {width} of hidden_sizes is not a multiple of num_attention_heads {heads}; "
                "change one of them"
            )
    values = {**origin.to_dict(), "num_attention_heads": heads, "hidden_act": shape.hidden_act or origin.hidden_act}
    return LayeredBertConfig.of(values, hidden=shape.hidden_sizes, feed_forward=shape.intermediate_sizes)
