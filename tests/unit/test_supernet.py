"""The supernet: slices by hand, models of their own, the sandwich step against plain autograd, resume."""

import copy
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.unit.resumable import make_rows, newest, recorded_teacher
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from distilgrid.methods.kd.declare import KD
from distilgrid.search.architecture import Shape
from distilgrid.search.estimators.sandwich import Sandwich
from distilgrid.search.estimators.settings import SupernetSettings
from distilgrid.search.estimators.supernet import Supernet, head_places, make_supernet
from distilgrid.search.space import Space
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.checkpoint import NOWHERE, Checkpoints, Interrupted
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain

SPACE = Space(layers=[1, 2, 3], hidden=[16, 24], heads=[2, 4], feed_forward=[20, 32], activation=["gelu", "relu"])
TRAINING = Training(epochs=2, batch_size=16, learning_rate=1e-3, weight_decay=0.1, precision="fp32")
SETTINGS = SupernetSettings(method=KD(alpha=0.6, temperature=3), temperature=2.0)


@pytest.fixture(scope="module")
def origin() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32, num_labels=2
    )
    config.initializer_range = 0.3  # so that orders matter
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config._attn_implementation = "eager"
    return BertForSequenceClassification(config).eval()


@pytest.fixture
def supernet(origin: BertForSequenceClassification) -> Supernet:
    return make_supernet(origin, SPACE, seed=1)


def inputs() -> dict[str, Tensor]:
    return make_rows(64, seed=0).encodings.batch([0, 5, 9])


def test_the_rows_of_narrower_and_wider_heads_by_hand() -> None:
    whole = Shape(layers=1, hidden=24, heads=4, feed_forward=1)  # four heads of six units: 0-5, 6-11, 12-17, 18-23
    assert head_places(Shape(1, 8, 4, 1), whole).tolist() == [0, 1, 6, 7, 12, 13, 18, 19]
    assert head_places(Shape(1, 12, 2, 1), whole).tolist() == [*range(6), *range(6, 12)]
    assert head_places(Shape(1, 16, 2, 1), whole).tolist() == [*range(6), 12, 13, *range(6, 12), 14, 15]
    assert sorted(head_places(Shape(1, 24, 3, 1), whole).tolist()) == list(range(24))


def test_the_largest_computes_what_the_origin_does(origin: BertForSequenceClassification, supernet: Supernet) -> None:
    assert supernet.largest == Shape(3, 24, 4, 32, "gelu")
    with torch.no_grad():
        wanted = origin(**inputs()).logits
        found = supernet.forward(supernet.largest, inputs())
    assert torch.allclose(found, wanted, atol=1e-5)
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    assert not torch.equal(supernet.model.get_parameter(name), origin.get_parameter(name)), "it was put in order"


def activated(activations: list[str]) -> Space:
    return Space.model_validate({**SPACE.model_dump(), "activation": activations})


@pytest.mark.parametrize("usual", ["gelu", "relu", "silu"])
@pytest.mark.parametrize("listed", [["gelu", "relu", "silu"], ["silu", "relu", "gelu"]])
def test_both_ends_of_the_sandwich_have_the_origins_activation(
    origin: BertForSequenceClassification, usual: str, listed: list[str]
) -> None:
    changed = copy.deepcopy(origin)
    changed.config.hidden_act = usual
    supernet = make_supernet(changed, activated(listed), seed=0)
    assert supernet.largest.name == f"3L-24H-4A-32F-{usual}"
    assert supernet.smallest.name == f"1L-16H-2A-20F-{usual}"


def test_an_activation_outside_the_space_gives_way_to_its_first_one(origin: BertForSequenceClassification) -> None:
    supernet = make_supernet(origin, activated(["relu", "silu"]), seed=0)
    assert {supernet.largest.activation, supernet.smallest.activation} == {"relu"}


def test_a_narrower_supernet_keeps_the_most_important_units(origin: BertForSequenceClassification) -> None:
    space = Space(layers=[2], hidden=[24], heads=[4], feed_forward=[20])
    kept = make_supernet(origin, space, seed=0).model.bert.encoder.layer[1].output.dense.weight.norm(dim=0)
    every = origin.bert.encoder.layer[1].output.dense.weight.norm(dim=0)
    assert torch.allclose(kept, every.sort(descending=True).values[:20])


@pytest.mark.parametrize("shape", SPACE.sample(8, seed=3), ids=lambda shape: shape.name)
@pytest.mark.parametrize("layers", ["first", "spread"])
def test_a_slice_equals_its_model_of_its_own(origin: BertForSequenceClassification, shape: Shape, layers: str) -> None:
    supernet = make_supernet(origin, SPACE, seed=1, layers=layers)  # type: ignore[arg-type]
    model = supernet.subnetwork(shape)
    with torch.no_grad():
        assert torch.equal(model(**inputs()).logits, supernet.forward(shape, inputs()))
    sizes = (model.config.num_hidden_layers, model.config.hidden_size, model.config.num_attention_heads)
    assert sizes == (shape.layers, shape.hidden, shape.heads)
    top = model.bert.encoder.layer[shape.layers - 1].attention.output.LayerNorm.weight
    number = {"first": shape.layers - 1, "spread": 2}[layers]
    whole = supernet.model.bert.encoder.layer[number].attention.output.LayerNorm.weight
    assert torch.equal(top, whole[: shape.hidden])


def test_a_subnetwork_is_saved_and_loaded_as_any_model(supernet: Supernet, tmp_path: Path) -> None:
    model = supernet.subnetwork(supernet.smallest)
    model.save_pretrained(tmp_path)
    loaded = BertForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager").eval()
    with torch.no_grad():
        assert torch.equal(loaded(**inputs()).logits, model(**inputs()).logits)


def sandwich(supernet: Supernet, checkpoints: Checkpoints = NOWHERE, training: Training = TRAINING) -> Sandwich:
    lessons: Any = SimpleNamespace(
        dataset=SimpleNamespace(task_kind=LABEL),
        rows=make_rows(64, seed=0),
        teacher=recorded_teacher(),
        settings=SETTINGS,
        training=training,
        placement=Placement(),
    )
    return Sandwich(supernet, lessons, seed=5, checkpoints=checkpoints)


def kl(target: Tensor, own: Tensor, heat: float) -> Tensor:
    p = torch.softmax(target / heat, dim=1)
    return heat**2 * (p * (torch.log(p) - torch.log(torch.softmax(own / heat, dim=1)))).sum(dim=1).mean()


def test_one_steps_gradients_by_hand(supernet: Supernet) -> None:
    reference = copy.deepcopy(supernet.model)
    whole = Supernet(reference, SPACE, layers="first")
    training = sandwich(supernet)
    batch = training.stretch.batches(1)[0]
    others = training.others(1)
    assert others[0] == Shape(1, 16, 2, 20, "gelu") and len(others) == 3
    losses = training.collect(1)

    rows, labels = make_rows(64, seed=0).encodings.batch(batch), make_rows(64, seed=0).labels[batch]
    theirs = recorded_teacher().outputs(batch).logits
    largest = whole.forward(whole.largest, rows)
    hard = -torch.log_softmax(largest, dim=1)[torch.arange(len(batch)), labels].mean()
    first = 0.4 * hard + 0.6 * kl(theirs, largest, 3.0)
    rest = sum((kl(largest.detach(), whole.forward(shape, rows), 2.0) for shape in others), torch.zeros(()))
    (first + rest).backward()
    assert losses == pytest.approx([float(first.detach()), float(rest.detach())], rel=1e-4)
    for name, weight in supernet.model.named_parameters():
        if "word_embeddings" not in name:  # cut to the words that occur
            wanted = reference.get_parameter(name).grad
            assert weight.grad is not None and wanted is not None
            assert torch.allclose(weight.grad, wanted, atol=1e-5), name
    words = reference.get_parameter("bert.embeddings.word_embeddings.weight").grad
    assert words is not None
    own = supernet.model.get_parameter("bert.embeddings.word_embeddings.weight").grad
    assert own is not None
    assert float(own.norm()) == pytest.approx(float(words.norm()), rel=1e-4)


def test_weights_outside_all_slices_get_no_gradient(origin: BertForSequenceClassification) -> None:
    space = Space(layers=[1, 2], hidden=[16], heads=[2], feed_forward=[20], max_parameters=2500)
    supernet = make_supernet(origin, space, seed=0)
    assert supernet.largest.layers == 1
    sandwich(supernet).collect(1)
    grads = {name: p.grad for name, p in supernet.model.named_parameters() if p.grad is not None}
    assert not any(bool(g.any()) for name, g in grads.items() if "layer.1." in name)
    assert any(bool(g.any()) for name, g in grads.items() if "layer.0." in name)


def trained(supernet: Supernet, checkpoints: Checkpoints = NOWHERE) -> tuple[list[list[float]], dict[str, bytes]]:
    training = sandwich(supernet, checkpoints)
    training.run()
    return training.losses, {name: w.numpy().tobytes() for name, w in supernet.model.state_dict().items()}


def test_a_run_repeats_and_resumes_to_the_same_bits(origin: BertForSequenceClassification, tmp_path: Path) -> None:
    whole = trained(make_supernet(origin, SPACE, seed=1))
    assert trained(make_supernet(origin, SPACE, seed=1)) == whole
    assert len(whole[0]) == 8
    stop = Checkpoints(tmp_path, key="mine", seconds=0, stop=lambda: newest(tmp_path) >= 3)
    with pytest.raises(Interrupted) as ended:
        trained(make_supernet(origin, SPACE, seed=1), stop)
    assert ended.value.code == os.EX_TEMPFAIL
    go_on = Checkpoints(tmp_path, key="mine", seconds=3600, stop=bool)
    assert trained(make_supernet(origin, SPACE, seed=1), go_on) == whole


def test_training_brings_the_slices_closer_to_the_largest(supernet: Supernet) -> None:
    long = TRAINING.model_copy(update={"epochs": 15})
    training = sandwich(supernet, training=long)
    training.run()
    distances = [others for _, others in training.losses]
    assert sum(distances[-8:]) < 0.7 * sum(distances[:8])
