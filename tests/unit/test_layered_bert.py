"""BERT whose layers differ in width: its mathematics, its files, its training."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.layered import FEED_FORWARD, HIDDEN, bert, inputs, layered
from torch import Tensor
from torch.nn import functional as F
from transformers import BertTokenizerFast, PreTrainedModel

from distilgrid.core.errors import UserError
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.finetune.losses import FinetuneObjective
from distilgrid.methods.kd.declare import KD
from distilgrid.methods.kd.losses import KDObjective
from distilgrid.methods.pkd.declare import PKD
from distilgrid.methods.pkd.losses import PKDObjective
from distilgrid.models.io import CLASSIFIER, load_model, load_tokenizer, save_model
from distilgrid.signals.mixed.mixing import Mixtures
from distilgrid.signals.mixed.outputs import mixed_inputs
from distilgrid.tasks.batching import Encodings, Rows
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.cpu.fused_encoder import FusedEncoder
from distilgrid.training.engine import Engine
from distilgrid.training.loop import Trainer
from distilgrid.training.objective import Phase
from distilgrid.training.placement import Placement, Precision
from distilgrid.training.predictor import forward
from distilgrid.training.settings import Training
from distilgrid.training.streams import RowStream
from distilgrid.training.teacher import StoredTeacher

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture
def rows() -> Rows:
    chooser = np.random.default_rng(0)
    ids = [chooser.integers(3, 40, size=n) for n in chooser.integers(3, 20, size=24)]
    return Rows(Encodings.of(ids, None, pad_id=0), torch.from_numpy(chooser.integers(0, 3, size=24)))


def by_hand(model: PreTrainedModel, given: dict[str, Tensor]) -> tuple[list[Tensor], Tensor]:
    """Hidden states and logits from the weights alone: Vaswani et al. 2017 with post-norm, as in BERT."""
    weights = model.state_dict()

    def linear(name: str, states: Tensor) -> Tensor:
        return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, states: Tensor) -> Tensor:
        centred = states - states.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    tables = "bert.embeddings.{}_embeddings.weight"
    states = weights[tables.format("word")][given["input_ids"]]
    states = states + weights[tables.format("token_type")][given["token_type_ids"]]
    states = norm("bert.embeddings.LayerNorm", states + weights[tables.format("position")][: states.shape[1]])
    found = [states]
    hidden = (given["attention_mask"] == 0)[:, None, None]
    for number, width in enumerate(HIDDEN):
        layer = f"bert.encoder.layer.{number}."
        if states.shape[-1] != width:
            states = linear(f"{layer}projection", states)
        q, k, v = (
            linear(f"{layer}attention.self.{name}", states).unflatten(-1, (4, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        scores = (q @ k.mT / (width / 4) ** 0.5).masked_fill(hidden, -torch.inf)
        context = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        states = norm(f"{layer}attention.output.LayerNorm", states + linear(f"{layer}attention.output.dense", context))
        inner = F.gelu(linear(f"{layer}intermediate.dense", states))
        states = norm(f"{layer}output.LayerNorm", states + linear(f"{layer}output.dense", inner))
        found.append(states)
    pooled = torch.tanh(linear("bert.pooler.dense", states[:, 0]))
    return found, linear("classifier", pooled)


@torch.no_grad()
def test_states_and_logits_are_those_of_the_equations() -> None:
    model, given = layered(), inputs()
    found = model(**given, output_hidden_states=True)
    states, logits = by_hand(model, given)
    assert [state.shape[-1] for state in found.hidden_states] == [HIDDEN[0], *HIDDEN]
    for mine, its in zip(states, found.hidden_states, strict=True):
        torch.testing.assert_close(mine, its, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits, found.logits, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_layers_of_equal_widths_are_a_bert() -> None:
    model, plain, given = layered((32,) * 3, (48,) * 3), bert(), inputs()
    model.load_state_dict(plain.state_dict())
    assert torch.equal(model(**given).logits, plain(**given).logits)
    embedded = plain.get_input_embeddings()(given["input_ids"])
    rest = {name: value for name, value in given.items() if name != "input_ids"}
    assert torch.equal(model(inputs_embeds=embedded, **rest).logits, plain(**given).logits)


@torch.no_grad()
def test_another_way_of_computing_attention_changes_nothing() -> None:
    model, given = layered(), inputs()
    expected = model(**given).logits
    model.set_attn_implementation("sdpa")
    assert {layer.attention.self.config._attn_implementation for layer in model.bert.encoder.layer} == {"sdpa"}
    torch.testing.assert_close(model(**given).logits, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_saved_model_computes_the_same(tmp_path: Path) -> None:
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film"])}
    model, given = layered(hidden_act="silu"), inputs()
    save_model(model, BertTokenizerFast(vocab=words), tmp_path)
    again = load_model(tmp_path)
    assert torch.equal(again(**given).logits, model(**given).logits)
    assert tuple(again.config.hidden_sizes) == HIDDEN and again.config._attn_implementation == "eager"
    assert load_tokenizer(tmp_path)("good film")["input_ids"] == [2, 5, 6, 3]
    assert list(load_tokenizer(tmp_path)("good film")) == ["input_ids", "token_type_ids", "attention_mask"]
    with pytest.raises(UserError, match="the model has 3 outputs, but the task needs 2"):
        load_model(tmp_path, outputs=2, auto=CLASSIFIER)


def test_its_tokeniser_loads_without_remarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(layered(), BertTokenizerFast(vocab={"[UNK]": 0, "good": 1}), tmp_path)
    said: list[Any] = []
    monkeypatch.setattr("transformers.configuration_utils.logger.warning", lambda *words: said.append(words))
    load_tokenizer(tmp_path)
    assert said == []


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_model(layered(), None, tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 4', '"num_hidden_layers": 5'))
    with pytest.raises(UserError, match=r"model cannot be loaded|weights lack"):
        load_model(tmp_path)
    config.write_text(config.read_text().replace("distilgrid-layered-bert", "distilgrid-layer-bert"))
    with pytest.raises(UserError, match="did you mean 'distilgrid-layered-bert'"):
        load_model(tmp_path)


def engine(model: PreTrainedModel, rows: Rows, precision: Precision = "fp32", **settings: Any) -> Engine:
    streams = [RowStream(rows, FinetuneObjective(Finetune(), kind=LABEL), None)]
    return Engine(
        model, streams, settings=Training(**settings), placement=Placement(precision=precision), seed=0, steps=20
    )


def gradients(model: PreTrainedModel, rows: Rows, precision: Precision = "fp32", **settings: Any) -> Tensor:
    running = engine(copy.deepcopy(model).train(), rows, precision, **settings)
    running._accumulate([list(range(16))])
    return running.flat.grads.clone()


def test_written_out_layers_have_autograds_gradients(rows: Rows) -> None:
    model = layered(**NO_DROPOUT)
    running = engine(copy.deepcopy(model), rows)
    assert any(isinstance(module, FusedEncoder) for module in running.model.modules())
    plain, fused, parts = (
        gradients(model, rows, **settings) for settings in ({"engine": "plain"}, {}, {"accumulation": 3})
    )
    size = torch.linalg.vector_norm(plain)
    assert torch.linalg.vector_norm(fused - plain) < 1e-5 * size
    assert torch.linalg.vector_norm(parts - plain) < 1e-5 * size
    assert 0 < torch.linalg.vector_norm(gradients(model, rows, "bf16") - plain) < 0.1 * size


@pytest.mark.parametrize(("activation", "optimiser"), [("gelu", "adamw"), ("relu", "sgd")])
def test_it_learns_by_kd_in_the_loop(activation: str, optimiser: str, rows: Rows) -> None:
    """With layers that are written out and with its own, with a cut vocabulary and with the whole one."""
    model = layered(hidden_act=activation, **NO_DROPOUT)
    settings = Training(epochs=2, batch_size=8, learning_rate=1e-3, optimiser=optimiser)  # type: ignore[arg-type]
    teacher = StoredTeacher(4 * F.one_hot(rows.labels, 3).float())
    phase = Phase(settings, lambda _: KDObjective(KD(), kind=LABEL))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    everything = rows.encodings.batch(range(24))

    def loss() -> float:
        with torch.no_grad():
            return float(F.cross_entropy(model.eval()(**everything).logits, rows.labels))

    untrained = loss()
    Trainer(
        model,
        [phase],
        rows=rows,
        dev=rows,
        kind=LABEL,
        metrics=["accuracy"],
        placement=Placement(),
        seed=0,
        teacher=teacher,
    ).run()
    after, name = model.state_dict(), "bert.encoder.layer.1.projection.weight"
    assert {key: value.shape for key, value in after.items()} == {key: value.shape for key, value in before.items()}
    assert not torch.equal(after[name], before[name])
    assert loss() < untrained


def test_hidden_states_of_different_widths_are_imitated_by_no_one(rows: Rows) -> None:
    given = rows.encodings.batch([0, 1])
    for model in (layered(), engine(layered(), rows).model):
        with pytest.raises(UserError, match="widths 32, 16, 16, 24 cannot imitate hidden states of one width"):
            forward(model, given, states=True)
    equal = forward(layered((32, 32), (8, 24)), given, states=True)
    assert equal.cls_states is not None and equal.cls_states.shape == (2, 2, 32)
    losses = PKDObjective(PKD(), kind=LABEL).losses(torch.tensor([0, 1]), equal, equal)
    assert losses["patience"] == 0


def test_mixed_samples_go_through_its_own_embeddings(rows: Rows) -> None:
    model = layered()
    same = Mixtures(np.array([0, 1]), np.array([2, 3]), np.array([1.0, 1.0], dtype=np.float32))
    mixed = forward(model, mixed_inputs(model, rows.encodings, same, token_types="mix"), states=False).logits
    torch.testing.assert_close(mixed, forward(model, rows.encodings.batch([0, 1]), states=False).logits)
    assert len(FEED_FORWARD) == model.config.num_hidden_layers
