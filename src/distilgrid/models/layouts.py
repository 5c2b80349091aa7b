"""Locations of an encoder's parts in models. Light: no torch."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Names:
    """Dotted names of an encoder's parts in a model type, below the base model or below a layer.

    `projection` names the module before a layer of another width than the previous one; empty for equal widths.
    """

    stack: str
    qkv: tuple[str, str, str]
    out: str
    norm1: str
    up: str
    down: str
    norm2: str
    activation: str = "hidden_act"
    hidden_dropout: str = "hidden_dropout_prob"
    attention_dropout: str = "attention_probs_dropout_prob"
    projection: str = ""


BERT = Names(
    stack="encoder",
    qkv=("attention.self.query", "attention.self.key", "attention.self.value"),
    out="attention.output.dense",
    norm1="attention.output.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
    norm2="output.LayerNorm",
)
DISTILBERT = Names(
    stack="transformer",
    qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    out="attention.out_lin",
    norm1="sa_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
    norm2="output_layer_norm",
    activation="activation",
    hidden_dropout="dropout",
    attention_dropout="attention_dropout",
)
LAYOUTS = {"bert": BERT, "roberta": BERT, "xlm-roberta": BERT, "camembert": BERT, "distilbert": DISTILBERT}
LAYOUTS |= {"distilgrid-layered-bert": replace(BERT, projection="projection")}
