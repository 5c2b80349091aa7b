"""The last layer for the first token alone: the same logits, less arithmetic, and the model itself left as it was."""

from collections.abc import Callable, Mapping

import pytest
import torch
from tests.unit.layered import bert, inputs, layered, moved
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertForTokenClassification,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    XLMRobertaConfig,
)

from distilgrid.runtimes.traceable import FirstTokenLayer, first_token_only, traceable

SIZES = {"vocab_size": 40, "num_labels": 3}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def of(config: PretrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    return moved(AutoModelForSequenceClassification.from_config(config, attn_implementation="eager"))


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "bert": bert,
    "relu": lambda: bert(hidden_act="relu"),
    "one layer": lambda: bert(num_hidden_layers=1),
    "layers of different widths": layered,
    "distilbert": lambda: of(DistilBertConfig(**SIZES, dim=32, n_layers=2, n_heads=4, hidden_dim=64)),
    "roberta": lambda: of(RobertaConfig(**SIZES, **WIDTHS, pad_token_id=0)),
    "xlm-roberta": lambda: of(XLMRobertaConfig(**SIZES, **WIDTHS, pad_token_id=0)),
}


def logits(model: PreTrainedModel, texts: Mapping[str, Tensor]) -> Tensor:
    with torch.inference_mode():
        result: Tensor = model(**texts).logits
    return result


def texts_for(model: PreTrainedModel, batch: int, length: int) -> dict[str, Tensor]:
    """Padded rows; kinds of tokens where the model knows several."""
    texts = inputs(batch, length)
    if getattr(model.config, "type_vocab_size", 0) < 2:
        del texts["token_type_ids"]
    return texts


def flops(model: PreTrainedModel, texts: Mapping[str, Tensor]) -> int:
    with FlopCounterMode(display=False) as counter:
        logits(model, texts)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("batch", "length"), [(3, 7), (1, 1), (2, 40)])
def test_logits_stay(kind: str, batch: int, length: int) -> None:
    model = MODELS[kind]()
    texts = texts_for(model, batch, length)
    before = logits(model, texts)
    torch.testing.assert_close(logits(first_token_only(model), texts), before, atol=1e-5, rtol=1e-5)
    unmasked = {name: values for name, values in texts.items() if name != "attention_mask"}
    expected = logits(model, unmasked)
    torch.testing.assert_close(logits(first_token_only(model), unmasked), expected, atol=1e-5, rtol=1e-5)


def test_the_model_itself_stays_as_it_was() -> None:
    model = bert()
    texts, names = inputs(), [name for name, _ in model.named_modules()]
    before = logits(model, texts)
    changed = first_token_only(model)
    assert [name for name, _ in model.named_modules()] == names
    assert not any(isinstance(module, FirstTokenLayer) for module in model.modules())
    assert torch.equal(logits(model, texts), before)
    ours, theirs = {id(p) for p in changed.parameters()}, {id(p) for p in model.parameters()}
    assert ours == theirs, "no weight is copied"


@pytest.mark.parametrize("layers", [2, 3])
def test_the_last_layer_costs_keys_and_values_only(layers: int) -> None:
    """Counted by hand: a layer of width H and feed-forward width F takes 4 H^2 + 2 H F multiplications a token."""
    length, H, F = 50, 32, 48
    model = bert(num_hidden_layers=layers)
    texts = inputs(1, length)
    saved = flops(model, texts) - flops(first_token_only(model), texts)
    attention = 2 * H * length  # scores, and their sums over values, for one query
    assert saved == 2 * (length - 1) * (2 * H * H + 2 * H * F + attention)


def test_exporters_trace_it() -> None:
    module = traceable(bert(), ["input_ids", "attention_mask", "token_type_ids"])
    assert sum(isinstance(part, FirstTokenLayer) for part in module.modules()) == 1


def test_a_model_of_another_kind_is_left_alone() -> None:
    config = AlbertConfig(**SIZES, **WIDTHS, embedding_size=16)
    model = of(config)
    assert first_token_only(model) is model


def test_a_head_that_reads_every_token_is_left_alone() -> None:
    model = BertForTokenClassification(bert().config)
    assert first_token_only(model) is model
