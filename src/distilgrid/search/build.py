"""Models of the shapes of a search space, with random weights: enough to measure latency."""

from typing import TYPE_CHECKING

import torch

from distilgrid.search.space import Shape

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification

VOCABULARY, POSITIONS = 30522, 512  # of BERT's English models; the layers' speed does not depend on them


def build_shape(
    shape: Shape, *, outputs: int = 2, seed: int = 0, vocabulary: int = VOCABULARY
) -> "BertForSequenceClassification":
    """A random classifier of this shape, in evaluation mode, with the attention that students have here."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=POSITIONS,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        hidden_act=shape.activation,
        num_labels=outputs,
    )
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertForSequenceClassification(config).eval()
