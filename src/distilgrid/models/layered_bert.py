"""BERT with layers of different widths, as searches over per-layer sizes find them (CANAO, Niu et al. 2020).

Layer i is a standard post-norm BERT layer of hidden width h_i and feed-forward width f_i. A linear projection with bias
stands before it where h_i differs from h_{i-1}. Embeddings have the first layer's width, pooler and classifier the
last's.

Weights have BERT's names, except for projections, so layers of equal widths hold exactly a BERT's weights.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertPreTrainedModel
from transformers.models.bert.modeling_bert import BertEmbeddings, BertEncoder, BertLayer, BertPooler

LAYERED = "distilgrid-layered-bert"

BERT_VALUES = frozenset(BertConfig().to_dict()) - {"model_type", "architectures", "transformers_version"}
"""Fields of a configuration that describe the model, apart from its type."""


class LayeredBertConfig(BertConfig):  # type: ignore[misc,unused-ignore]
    """BERT's configuration with the widths of each layer.

    `hidden_size` and `intermediate_size` are the last layer's, `num_hidden_layers` is the number of layers.
    """

    model_type = LAYERED

    hidden_sizes: Sequence[int] = (768,) * 12  # width of each layer; a multiple of `num_attention_heads`
    intermediate_sizes: Sequence[int] = (3072,) * 12  # feed-forward width of each layer

    @classmethod
    def of(cls, values: dict[str, Any], *, hidden: Sequence[int], feed_forward: Sequence[int]) -> "LayeredBertConfig":
        """A configuration of these widths (layers,), with a BERT's plain values otherwise."""
        sizes = {"hidden_size": hidden[-1], "intermediate_size": feed_forward[-1], "num_hidden_layers": len(hidden)}
        lists = {"hidden_sizes": list(hidden), "intermediate_sizes": list(feed_forward)}
        kept = {name: value for name, value in values.items() if name in BERT_VALUES}
        result: LayeredBertConfig = cls(**{**kept, **sizes, **lists})
        return result

    def layer(self, number: int) -> BertConfig:
        """The configuration of a layer, counted from 0, for BERT's modules."""
        sizes = {"hidden_size": self.hidden_sizes[number], "intermediate_size": self.intermediate_sizes[number]}
        kept = {name: value for name, value in self.to_dict().items() if name in BERT_VALUES}
        return BertConfig(**{**kept, **sizes})


class LayeredBertLayer(BertLayer):  # type: ignore[misc,unused-ignore]
    """A BERT layer, after a projection where the previous layer has another width."""

    def __init__(self, config: LayeredBertConfig, number: int) -> None:
        super().__init__(config.layer(number), layer_idx=number)
        # Attention asks its configuration for one thing, how it is computed, and that is set for the whole model.
        self.attention.self.config = config
        before, width = config.hidden_sizes[max(0, number - 1)], config.hidden_sizes[number]
        self.projection = nn.Identity() if before == width else nn.Linear(before, width)

    def forward(self, hidden_states: Tensor, *others: Any, **options: Any) -> Tensor:
        """(B, L, h_{i-1}) to (B, L, h_i)."""
        states: Tensor = super().forward(self.projection(hidden_states), *others, **options)
        return states


class LayeredBertEncoder(BertEncoder):  # type: ignore[misc,unused-ignore]
    """Successive layers."""

    def __init__(self, config: LayeredBertConfig) -> None:
        nn.Module.__init__(self)
        self.config = config
        self.layer = nn.ModuleList(LayeredBertLayer(config, number) for number in range(config.num_hidden_layers))


class LayeredBertModel(BertModel):  # type: ignore[misc,unused-ignore]
    """Embeddings, layers and pooler with BERT's forward pass; hidden states have the widths of their layers."""

    config_class = LayeredBertConfig

    def __init__(self, config: LayeredBertConfig) -> None:
        BertPreTrainedModel.__init__(self, config)  # BertModel's own would make layers of one width
        self.gradient_checkpointing = False
        self.embeddings = BertEmbeddings(config.layer(0))
        self.encoder = LayeredBertEncoder(config)
        self.pooler = BertPooler(config)
        self.post_init()


class LayeredBert(BertForSequenceClassification):  # type: ignore[misc,unused-ignore]
    """A classifier over layers of different widths, with the inputs and outputs of `BertForSequenceClassification`."""

    config_class = LayeredBertConfig

    def __init__(self, config: LayeredBertConfig) -> None:
        BertPreTrainedModel.__init__(self, config)
        self.num_labels = config.num_labels
        self.bert = LayeredBertModel(config)
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()
