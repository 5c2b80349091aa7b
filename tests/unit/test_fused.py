"""The written-out encoder layers against the models' own: the same outputs, gradients and weights."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.finetune.losses import FinetuneObjective
from distilgrid.tasks.batching import Encodings, Rows
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.cpu.fused_encoder import FusedEncoder, fuse, fusible, unfuse
from distilgrid.training.cpu.randomness import DropoutMasks
from distilgrid.training.engine import Engine
from distilgrid.training.optimiser import parameter_groups
from distilgrid.training.placement import Placement, Precision
from distilgrid.training.predictor import forward
from distilgrid.training.settings import Training
from distilgrid.training.streams import RowStream
from distilgrid.training.weights import FlatParameters

SIZES = {"vocab_size": 40, "max_position_embeddings": 64}
BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def bert(**changes: Any) -> PreTrainedModel:
    config = BertConfig(**{**SIZES, **BERT, **NO_DROPOUT, **changes})
    return BertForSequenceClassification._from_config(config, attn_implementation="eager")


def roberta() -> PreTrainedModel:
    config = RobertaConfig(**SIZES, **BERT, **NO_DROPOUT, type_vocab_size=1, pad_token_id=1)
    return RobertaForSequenceClassification._from_config(config, attn_implementation="eager")


def distilbert() -> PreTrainedModel:
    config = DistilBertConfig(
        **SIZES, dim=32, n_layers=2, n_heads=4, hidden_dim=48, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0
    )
    return DistilBertForSequenceClassification._from_config(config, attn_implementation="eager")


MODELS = {"bert": bert, "roberta": roberta, "distilbert": distilbert, "tanh": lambda: bert(hidden_act="gelu_new")}


@pytest.fixture(params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    built: PreTrainedModel = MODELS[request.param]()
    with torch.no_grad():  # weights of the initialisation are so small that attention would hardly matter
        for parameter in built.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return built


@pytest.fixture
def rows() -> Rows:
    chooser = np.random.default_rng(0)
    ids = [chooser.integers(3, 40, size=n) for n in chooser.integers(3, 20, size=24)]
    return Rows(Encodings.of(ids, None, pad_id=1), torch.from_numpy(chooser.integers(0, 2, size=24)))


def engine(model: PreTrainedModel, rows: Rows, settings: Training, *, precision: Precision = "fp32") -> Engine:
    streams = [RowStream(rows, FinetuneObjective(Finetune(), kind=LABEL), None)]
    return Engine(model, streams, settings=settings, placement=Placement(precision=precision), seed=0, steps=20)


def trained(model: PreTrainedModel, rows: Rows, *, precision: Precision = "fp32", **settings: Any) -> PreTrainedModel:
    """A copy after three steps on 8 rows each."""
    result = copy.deepcopy(model).train()
    running = engine(result, rows, Training(learning_rate=1e-3, **settings), precision=precision)
    for step in range(3):
        running.step(step + 1, [list(range(8 * step, 8 * step + 8))])
    running.release()
    return result


def difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """The norm of the difference of all weights but the key's biases, whose gradient is zero but for rounding."""
    named = [name for name in first if not name.endswith(("key.bias", "k_lin.bias"))]
    return sum(float((first[name] - second[name]).square().sum()) for name in named) ** 0.5


def test_training_gives_the_weights_of_the_models_own_layers(model: PreTrainedModel, rows: Rows) -> None:
    start = model.state_dict()
    plain, fused = (trained(model, rows, engine=kind).state_dict() for kind in ("plain", "auto"))
    assert list(plain) == list(fused) == list(start), "nothing of the set-up is left"
    assert difference(plain, fused) < 1e-3 * difference(plain, start)


def gradients(model: PreTrainedModel, rows: Rows, *, precision: Precision = "fp32", **settings: Any) -> torch.Tensor:
    running = engine(copy.deepcopy(model).train(), rows, Training(**settings), precision=precision)
    running._accumulate([list(range(16))])
    return running.flat.grads.clone()


def test_gradients_equal_those_of_autograd(model: PreTrainedModel, rows: Rows) -> None:
    plain, fused = (gradients(model, rows, engine=kind) for kind in ("plain", "auto"))
    assert torch.linalg.vector_norm(fused - plain) < 1e-5 * torch.linalg.vector_norm(plain)


def test_parts_of_a_batch_add_up_to_the_whole(model: PreTrainedModel, rows: Rows) -> None:
    whole, parts = (gradients(model, rows, accumulation=n) for n in (1, 3))
    assert torch.linalg.vector_norm(parts - whole) < 1e-5 * torch.linalg.vector_norm(whole)


def test_bf16_follows_fp32(model: PreTrainedModel, rows: Rows) -> None:
    exact, rounded = (gradients(model, rows, precision=precision) for precision in ("fp32", "bf16"))
    assert 0 < torch.linalg.vector_norm(rounded - exact) < 0.1 * torch.linalg.vector_norm(exact)


def test_outputs_and_states_equal_the_models_own(model: PreTrainedModel, rows: Rows) -> None:
    inputs = rows.encodings.batch([0, 5, 9])
    model.eval()
    with torch.no_grad():
        own = forward(model, inputs, states=True)
        flat = FlatParameters(parameter_groups(model, layers=2, layered=False), compute=torch.float32)
        original = fuse(model, flat, DropoutMasks(0))
        assert any(isinstance(module, FusedEncoder) for module in model.modules())
        fused = forward(model, inputs, states=True)
        unfuse(model, original)
    assert torch.allclose(own.logits, fused.logits, atol=1e-5)
    assert own.cls_states is not None and fused.cls_states is not None
    assert torch.allclose(own.cls_states, fused.cls_states, atol=1e-5)


def test_other_activations_and_frozen_weights_keep_the_models_own_layers() -> None:
    assert not fusible(bert(hidden_act="relu"))
    frozen = bert()
    next(frozen.parameters()).requires_grad_(False)
    assert not fusible(frozen)


def test_dropout_drops_at_its_rate_and_keeps_the_mean() -> None:
    masks = DropoutMasks(3)
    for dtype in (torch.float32, torch.bfloat16):
        kept = masks.keep((400, 500), rate=0.1, dtype=dtype)
        assert kept.dtype == dtype
        assert set(kept.float().unique().tolist()) == {0.0, 1.0}
        assert float(kept.float().mean()) == pytest.approx(0.9, abs=0.004)  # six standard errors
        assert masks.scale(0.1) * 0.9 == pytest.approx(1, abs=1e-5)
        rows, columns = kept.float().mean(1), kept.float().mean(0)
        assert float(rows.std()) == pytest.approx((0.09 / 500) ** 0.5, rel=0.2), "elements are independent"
        assert float(columns.std()) == pytest.approx((0.09 / 400) ** 0.5, rel=0.2)


def test_a_steps_masks_depend_on_seed_and_step_alone() -> None:
    def draw(seed: int, step: int, *, before: int = 0) -> torch.Tensor:
        masks = DropoutMasks(seed)
        for earlier in range(before):
            masks.start_step(earlier)
            masks.keep((7,), rate=0.5, dtype=torch.float32)
        masks.start_step(step)
        return masks.keep((1000,), rate=0.5, dtype=torch.float32)

    assert torch.equal(draw(1, 5), draw(1, 5, before=4))
    assert not torch.equal(draw(1, 5), draw(1, 6))
    assert not torch.equal(draw(1, 5), draw(2, 5))


@pytest.mark.parametrize("rate", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_dropout_is_applied_in_training_only(rate: str, rows: Rows) -> None:
    torch.manual_seed(0)
    model = bert(**{rate: 0.5})
    running = engine(model, rows, Training())
    inputs = rows.encodings.batch(range(8))
    model.train()
    first, second = (forward(model, inputs, states=False).logits for _ in range(2))
    assert not torch.allclose(first, second)
    model.eval()
    first, second = (forward(model, inputs, states=False).logits for _ in range(2))
    assert torch.equal(first, second)
    running.release()


def test_dropout_has_the_mean_gradient_of_torchs_own(rows: Rows) -> None:
    torch.manual_seed(0)
    start = bert(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
    means = {}
    for kind in ("plain", "auto"):
        running = engine(copy.deepcopy(start).train(), rows, Training(engine=kind))
        total = torch.zeros_like(running.flat.grads)
        for step in range(60):
            running.acceleration.start_step(step)
            torch.manual_seed(step)
            running._accumulate([list(range(16))])
            total += running.flat.grads / 60
            running.flat.zero_grad()
        means[kind] = total
    difference = torch.linalg.vector_norm(means["auto"] - means["plain"])
    assert difference < 0.5 * torch.linalg.vector_norm(means["plain"])
