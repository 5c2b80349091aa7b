"""The model of an architecture that a search tries: built and filled as a grid builds its students."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distilgrid.models import settings
from distilgrid.models.student import build_student
from distilgrid.search.architecture import Architecture
from distilgrid.search.encoder import encoder_of
from distilgrid.search.layered_space import LayeredShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Inherit = Literal["none", "leading", "importance"]
InheritLayers = Literal["first", "spread"]


def candidate_model(
    architecture: Architecture,
    *,
    origin: Path,
    outputs: int,
    seed: int,
    inherit: Inherit,
    teacher: Path | None,
    inherit_layers: InheritLayers = "first",
) -> "PreTrainedModel":
    """A classifier of this architecture, in fp32 and evaluation mode, ready to train.

    Args:
        architecture: plain BERT where all layers are alike, else our BERT of layers.
        origin: the pretrained model's folder; decides vocabulary, positions and what else a shape does not say.
        outputs: width of the logits.
        seed: of every weight that is drawn at random.
        inherit: nothing, or which rows and columns of whose weights: the teacher's, where there is one.
        teacher: a fine-tuned model's folder, whose head is inherited too; None takes the origin.
        inherit_layers: which layers a shallower architecture inherits.

    Raises:
        UserError: when the heads do not divide a width, or the origin cannot give such a model.
    """
    student = candidate_student(
        architecture, inherit=inherit, finetuned=teacher is not None, inherit_layers=inherit_layers
    )
    return build_student(student, origin=origin, teacher=teacher, outputs=outputs, seed=seed)


def candidate_student(
    architecture: Architecture, *, inherit: Inherit, finetuned: bool, inherit_layers: InheritLayers = "first"
) -> settings.Student:
    """The settings of a student with this architecture, as a grid takes them.

    Args:
        architecture: of the student.
        inherit: nothing, or which rows and columns.
        finetuned: inherit them of the fine-tuned teacher, not of the pretrained model.
        inherit_layers: which layers a shallower architecture inherits.

    Raises:
        UserError: when the heads do not divide a width.
    """
    if inherit == "none":
        return settings.Student(architecture=architecture_settings(architecture), init="scratch")
    init: Literal["finetuned", "pretrained"] = "finetuned" if finetuned else "pretrained"
    return settings.Student(
        architecture=architecture_settings(architecture), init=init, inherit=inherit, inherit_layers=inherit_layers
    )


def architecture_settings(architecture: Architecture) -> settings.Architecture:
    """An architecture as a grid writes it. Raises UserError when the heads do not divide a width."""
    hidden, feed_forward, heads, activation = encoder_of(architecture)
    sizes: dict[str, Any] = {"hidden_sizes": list(hidden), "intermediate_sizes": list(feed_forward)}
    if not isinstance(architecture, LayeredShape):
        sizes = {"num_hidden_layers": len(hidden), "hidden_size": hidden[0], "intermediate_size": feed_forward[0]}
    return settings.Architecture(**sizes, num_attention_heads=heads, hidden_act=activation)
