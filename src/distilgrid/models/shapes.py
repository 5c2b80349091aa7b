"""Sizes of models: layers, heads and widths of students. Light: a plan asks before any job runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from distilgrid.core.errors import UserError
from distilgrid.models.settings import Student


@dataclass(frozen=True)
class Sizes:
    """Number of a model's layers, and width of its hidden states."""

    layers: int
    hidden: int


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


def check_heads(widths: Sequence[int], heads: int, *, field: str = "") -> None:
    """Refuse widths that are no multiple of the number of heads. Raises UserError naming the first one."""
    wrong = next((width for width in widths if width % heads), None)
    if wrong is not None:
        named = f"{wrong} of {field}" if field else f"hidden_size {wrong}"
        said = f"student architecture: {named} is not a multiple of num_attention_heads {heads}; change one of them"
        raise UserError(said)


def check_one_width(widths: Sequence[int]) -> None:
    """Refuse hidden states of layers of different widths. Raises UserError naming them."""
    if len(set(widths)) > 1:
        raise UserError(
            f"a model with layers of widths {', '.join(map(str, widths))} cannot imitate hidden states of one width; "
            "take a method without them, such as kd"
        )
