"""Where models keep the parts of their encoders. Light: no torch here."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Names:
    """Where a model type keeps the parts of its encoder: dotted names, below the base model or below a layer.

    `projection` is what stands before a layer whose width is not that of the layer before; empty where all are equal.
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
LAYERED = "distilgrid-layered-bert"  # model type of a BERT whose layers differ in width
LAYOUTS = {"bert": BERT, "roberta": BERT, "xlm-roberta": BERT, "camembert": BERT, "distilbert": DISTILBERT}
LAYOUTS |= {LAYERED: replace(BERT, projection="projection")}
