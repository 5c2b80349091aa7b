"""Models of architectures with random weights, for measurements of latency."""

from typing import TYPE_CHECKING

import torch

from distilgrid.search.architecture import Architecture
from distilgrid.search.encoder import encoder_of
from distilgrid.search.layered_space import LayeredShape

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification

VOCABULARY, POSITIONS = 30522, 512  # of BERT's English models; the layers' speed does not depend on them


def build_shape(
    shape: Architecture, *, outputs: int = 2, seed: int = 0, vocabulary: int = VOCABULARY
) -> "BertForSequenceClassification":
    """Random classifier of this shape, in evaluation mode and with the attention of students.

    Raises UserError when the heads do not divide a width.
    """
    from transformers import BertConfig, BertForSequenceClassification

    from distilgrid.models.layered_bert import LayeredBert, LayeredBertConfig

    hidden, feed_forward, heads, activation = encoder_of(shape)
    config = BertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=POSITIONS,
        num_hidden_layers=len(hidden),
        hidden_size=hidden[-1],
        num_attention_heads=heads,
        intermediate_size=feed_forward[-1],
        hidden_act=activation,
        num_labels=outputs,
    )
    build = BertForSequenceClassification
    if isinstance(shape, LayeredShape):
        build, config = LayeredBert, LayeredBertConfig.of(config.to_dict(), hidden=hidden, feed_forward=feed_forward)
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config).eval()
