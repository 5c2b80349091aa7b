"""Architectures as the sizes of their encoders, layer by layer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from distilgrid.core.errors import UserError
from distilgrid.search.architecture import Activation, Architecture
from distilgrid.search.layered_space import LayeredShape
from distilgrid.search.space import Shape


class Encoder(NamedTuple):
    """Sizes that a model is built from."""

    hidden: tuple[int, ...]  # width of the hidden states of each layer: (layers,)
    feed_forward: tuple[int, ...]  # feed-forward width of each layer: (layers,)
    heads: int  # attention heads of every layer
    activation: Activation


def encoder_of(architecture: Architecture) -> Encoder:
    """Sizes of an architecture. Raises UserError when the heads do not divide a width."""
    if isinstance(architecture, LayeredShape):
        hidden, feed_forward = architecture.hidden, architecture.feed_forward
    else:
        assert isinstance(architecture, Shape), "there are two kinds of architecture"
        layers = architecture.layers
        hidden, feed_forward = (architecture.hidden,) * layers, (architecture.feed_forward,) * layers
    for width in hidden:
        if width % architecture.heads:
            raise UserError(
                f"architecture {architecture.name}: {architecture.heads} heads do not divide width {width}; change one"
            )
    return Encoder(hidden, feed_forward, architecture.heads, architecture.activation)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Shape of a trained model such as a teacher, read from its `config.json`.

    Raises UserError unless the model is a BERT-like encoder of equal layers.
    """
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act")
    missing = [name for name in names if name not in config]
    if missing:
        kind = config.get("model_type")
        raise UserError(
            f"a search wants a BERT-like teacher, and the configuration of this '{kind}' has no {missing[0]}"
        )
    return Shape(*(config[name] for name in names))
