"""Models of candidates: built and initialised as a grid builds its students."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distilgrid.models import settings
from distilgrid.models.io import CLASSIFIER
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
    """Classifier of an architecture, in fp32 and evaluation mode, ready to train.

    Args:
        architecture: a plain BERT where all layers are equal, else a BERT with separate sizes for each layer.
        origin: folder of the pretrained model, which decides vocabulary, positions and everything outside a shape.
        outputs: width of the logits.
        seed: seed of random weights.
        inherit: rows and columns to inherit, from the teacher if there is one.
        teacher: folder of a fine-tuned model, whose head is inherited too; None takes the origin.
        inherit_layers: layers that a shallower architecture inherits.

    Raises:
        UserError: when the heads do not divide a width, or the origin cannot give such a model.
    """
    student = candidate_student(
        architecture, inherit=inherit, finetuned=teacher is not None, inherit_layers=inherit_layers
    )
    return build_student(student, origin=origin, teacher=teacher, outputs=outputs, auto=CLASSIFIER, seed=seed)


def candidate_student(
    architecture: Architecture, *, inherit: Inherit, finetuned: bool, inherit_layers: InheritLayers = "first"
) -> settings.Student:
    """Settings of a student with this architecture, which inherits from the teacher if that is `finetuned`.

    Raises UserError when the heads do not divide a width.
    """
    shape = architecture_settings(architecture)
    if inherit == "none":
        return settings.Student(architecture=shape, init="scratch")
    init: Literal["finetuned", "pretrained"] = "finetuned" if finetuned else "pretrained"
    return settings.Student(architecture=shape, init=init, inherit=inherit, inherit_layers=inherit_layers)


def architecture_settings(architecture: Architecture) -> settings.StudentShape:
    """An architecture as a grid writes it. Raises UserError when the heads do not divide a width."""
    hidden, feed_forward, heads, activation = encoder_of(architecture)
    sizes: dict[str, Any] = {"hidden_sizes": list(hidden), "intermediate_sizes": list(feed_forward)}
    if not isinstance(architecture, LayeredShape):
        sizes = {"num_hidden_layers": len(hidden), "hidden_size": hidden[0], "intermediate_size": feed_forward[0]}
    return settings.StudentShape(**sizes, num_attention_heads=heads, hidden_act=activation)
