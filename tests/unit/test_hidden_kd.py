"""Hidden-state distillation in the loop: parts of a batch, precision, layers of their own projections, the plan."""

import copy
from typing import Any

import pytest
import torch
from tests.unit.resumable import SHORT, make_rows, recorded_teacher
from transformers import BertConfig, BertForSequenceClassification

from distilgrid.core.errors import UserError
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.plan.expand import expand
from distilgrid.plan.params import parse_params
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.training.loop import Trainer
from distilgrid.training.outcome import Outcome
from distilgrid.training.placement import Placement
from distilgrid.training.settings import Training

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, num_labels=2
    )
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config._attn_implementation = "eager"
    return BertForSequenceClassification(config)


def train(model: BertForSequenceClassification, method: HiddenKD, settings: Training, **options: Any) -> Outcome:
    return Trainer(
        copy.deepcopy(model),
        method.phases(settings, kind=LABEL),
        rows=make_rows(64, seed=0),
        dev=make_rows(32, seed=1),
        kind=LABEL,
        metrics=["accuracy"],
        placement=options.get("placement", Placement()),
        seed=0,
        teacher=recorded_teacher(),
    ).run()


HIDDEN_ONLY = HiddenKD(hidden={"epochs": 2}, task=None)


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_every_token_counts_alike_however_a_batch_is_cut(model: BertForSequenceClassification, engine: str) -> None:
    settings = SHORT.model_copy(update={"engine": engine, "batching": "random"})  # rows of all lengths in one batch
    whole, parts = (
        train(model, HIDDEN_ONLY, settings.model_copy(update={"accumulation": n})).history.series("train", "loss")
        for n in (1, 3)
    )
    assert parts == pytest.approx(whole, rel=1e-5)


def test_both_engines_agree(model: BertForSequenceClassification) -> None:
    auto, plain = (
        train(model, HIDDEN_ONLY, SHORT.model_copy(update={"engine": engine})).history.series("train", "hidden")
        for engine in ("auto", "plain")
    )
    assert auto == pytest.approx(plain, rel=1e-4)
    assert auto[-1] < auto[0]


def test_bf16_follows_fp32(model: BertForSequenceClassification) -> None:
    exact = train(model, HIDDEN_ONLY, SHORT)
    rounded = train(model, HIDDEN_ONLY, SHORT, placement=Placement(precision="bf16"))
    assert rounded.last_losses["hidden"] == pytest.approx(exact.last_losses["hidden"], rel=0.02)
    assert rounded.last_losses != exact.last_losses


def test_projections_of_their_own_fit_better(model: BertForSequenceClassification) -> None:
    shared, own = (
        train(model, HIDDEN_ONLY.model_copy(update={"projection": p, "hidden": {"epochs": 12}}), SHORT)
        for p in ("shared", "layer")
    )
    assert own.last_losses["hidden"] < shared.last_losses["hidden"]


def test_the_last_epochs_loss_is_a_mean_over_its_steps(model: BertForSequenceClassification) -> None:
    outcome = train(model, HIDDEN_ONLY, SHORT)
    steps = outcome.history.series("train", "hidden")
    assert len(steps) == 16
    assert outcome.last_losses["hidden"] == pytest.approx(sum(steps[8:]) / 8)
    assert outcome.best_step == 16, "the last weights, though dev scores an untrained head"


def test_a_deeper_student_is_refused_before_it_trains(model: BertForSequenceClassification) -> None:
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = 5
    with pytest.raises(UserError, match="a student of 5 layers cannot imitate a teacher of 4"):
        train(BertForSequenceClassification(config), HIDDEN_ONLY, SHORT)


def test_a_plan_records_hidden_states_once(tiny_values: dict[str, Any]) -> None:
    tiny_values["methods"]["hidden"] = {"objective": "hidden_kd", "hidden": {"epochs": 2}}
    tiny_values["grid"]["methods"] = ["kd", "hidden"]
    found = expand(parse_params(tiny_values, origin="test"))
    assert {a.labels["kind"] for a in found.of("record")} == {"logits", "cls-states", "hidden-states"}
    assert len(found.of("record")) == 3
