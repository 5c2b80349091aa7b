"""Mixed samples: which pairs, how much of each, and what models and losses see of them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.unit.test_fused import MODELS

from distilgrid.core.errors import UserError
from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.methods.mixkd.losses import MixKDObjective, mixed_targets
from distilgrid.signals.mixed.mixing import Mixtures, Schedule, make_schedule
from distilgrid.signals.mixed.outputs import mixed_inputs
from distilgrid.signals.mixed.plan import Mixup
from distilgrid.tasks.batching import Encodings
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.tasks.kinds.number.declare import KIND as NUMBER
from distilgrid.training.objective import Outputs
from distilgrid.training.predictor import forward
from distilgrid.training.settings import Training

ROWS = 500
LENGTHS = np.random.default_rng(0).integers(5, 200, size=ROWS)


def schedule(lengths: np.ndarray = LENGTHS, *, epochs: int = 2, batch_size: int = 32, **mixup: Any) -> Schedule:
    return make_schedule(lengths, Mixup(**mixup), Training(epochs=epochs, batch_size=batch_size))


def test_every_row_is_first_once_and_second_once_and_never_its_own_partner() -> None:
    made = schedule()
    for epoch in range(2):
        part = made.mixtures.take(list(range(epoch * ROWS, (epoch + 1) * ROWS)))
        assert sorted(part.first) == sorted(part.second) == list(range(ROWS))
    assert (made.mixtures.first != made.mixtures.second).all()
    assert (made.mixtures.second[:ROWS] != made.mixtures.second[ROWS:]).mean() > 0.9, "other partners in each epoch"


def test_an_epoch_has_as_many_batches_as_the_rows_and_each_sample_once() -> None:
    made = schedule()
    for epoch, batches in enumerate(made.epochs):
        assert len(batches) == -(-ROWS // 32)
        assert sorted(sample for batch in batches for sample in batch) == list(range(epoch * ROWS, (epoch + 1) * ROWS))
        assert {len(batch) for batch in batches} <= {31, 32}


@pytest.mark.parametrize(("ratio", "count"), [(0.5, 250), (1.0, 500), (2.5, 1250)])
def test_the_ratio_is_the_number_of_mixed_samples_per_row(ratio: float, count: int) -> None:
    made = schedule(epochs=1, ratio=ratio)
    assert len(made.mixtures) == count
    used = np.bincount(made.mixtures.first, minlength=ROWS)
    assert used.max() - used.min() <= 1


def test_lambda_is_beta_distributed() -> None:
    made = schedule(np.full(4000, 10), epochs=1, beta=0.4)
    assert stats.kstest(made.mixtures.weight, stats.beta(0.4, 0.4).cdf).pvalue > 0.001
    assert stats.kstest(made.mixtures.weight, stats.beta(2.0, 2.0).cdf).pvalue < 1e-6


def test_one_lambda_for_each_batch_on_request() -> None:
    made = schedule(draw="batch")
    values = [made.mixtures.weight[batch] for batch in made.batches]
    assert all(len(set(weights)) == 1 for weights in values)
    assert len({weights[0] for weights in values}) == len(values)


def test_similar_partners_are_of_like_length_and_batches_too() -> None:
    def difference(made: Schedule) -> float:
        return float(np.abs(LENGTHS[made.mixtures.first] - LENGTHS[made.mixtures.second]).mean())

    assert difference(schedule(partners="similar")) < 0.5 * difference(schedule())
    longest = np.maximum(LENGTHS[schedule().mixtures.first], LENGTHS[schedule().mixtures.second])
    spreads = [np.ptp(longest[batch]) for batch in schedule().batches]
    assert np.mean(spreads) < 0.3 * np.ptp(longest)


def test_the_schedule_depends_on_its_own_seed_alone() -> None:
    ids = np.arange(ROWS)
    digests = [schedule(seed=seed).digest(ids) for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    assert schedule(epochs=3).digest(ids) != digests[0]
    assert schedule().digest(ids + 1) != digests[0], "other rows"
    short, long = schedule(epochs=1).mixtures, schedule(epochs=3).mixtures
    assert np.array_equal(short.weight, long.weight[:ROWS]), "an epoch does not depend on how many there are"


@pytest.mark.parametrize(
    ("lengths", "training", "mixup", "line"),
    [
        ([5], {}, {}, "mixing needs two training rows"),
        ([5] * 64, {"batch_tokens": 64}, {}, "batch_tokens: null"),
        ([5] * 64, {"batch_size": 1}, {"ratio": 0.5}, "mixup.ratio: 32 mixed samples for 64 batches"),
    ],
)
def test_what_cannot_be_mixed_is_refused(lengths: list[int], training: Any, mixup: Any, line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        make_schedule(np.array(lengths), Mixup(**mixup), Training(**training))


def test_batches_of_one_row_can_be_mixed() -> None:
    made = schedule(np.full(6, 5), batch_size=1)
    assert [len(batch) for batch in made.batches] == [1] * 12


@pytest.fixture
def encodings() -> Encodings:
    chooser = np.random.default_rng(1)
    ids = [chooser.integers(3, 40, size=n) for n in (4, 9, 6, 6)]
    return Encodings.of(ids, None, pad_id=1)


def samples(first: list[int], second: list[int], weight: list[float]) -> Mixtures:
    return Mixtures(np.array(first), np.array(second), np.array(weight, dtype=np.float32))


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize(("weight", "rows"), [(1.0, [0, 1, 2]), (0.0, [1, 3, 0])])
def test_a_weight_of_one_or_zero_gives_a_row_itself(
    name: str, weight: float, rows: list[int], encodings: Encodings
) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    mixtures = samples([0, 1, 2], [1, 3, 0], [weight] * 3)
    with torch.no_grad():
        mixed = forward(model, mixed_inputs(model, encodings, mixtures, token_types="mix"), states=False)
        alone = forward(model, encodings.batch(rows), states=False)
    assert torch.allclose(mixed.logits, alone.logits, atol=1e-5)


def test_the_mask_joins_those_of_both_rows(encodings: Encodings) -> None:
    inputs = mixed_inputs(MODELS["bert"](), encodings, samples([0, 2], [1, 3], [0.5, 0.5]), token_types="mix")
    assert inputs["attention_mask"].tolist() == [[1] * 9, [1] * 6 + [0] * 3]
    assert inputs["inputs_embeds"].shape[:2] == (2, 9)


def pairs() -> Encodings:
    """Two pairs of texts: segments 0 0 1 1 1 and 0 0 0 1 1."""
    ids = [np.array([2, 5, 6, 7, 3]), np.array([2, 8, 9, 10, 3])]
    return Encodings.of(ids, [np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1])], pad_id=0)


def test_token_types_are_mixed_or_kept() -> None:
    torch.manual_seed(0)
    model = MODELS["bert"]()
    words, kinds = model.bert.embeddings.word_embeddings.weight, model.bert.embeddings.token_type_embeddings.weight
    mixtures = samples([0], [1], [0.25])
    expected_words = 0.25 * words[[2, 5, 6, 7, 3]] + 0.75 * words[[2, 8, 9, 10, 3]]

    kept = mixed_inputs(model, pairs(), mixtures, token_types="keep")
    assert kept["token_type_ids"].tolist() == [[0, 0, 1, 1, 1]]
    assert torch.allclose(kept["inputs_embeds"][0], expected_words, atol=1e-6)

    mixed = mixed_inputs(model, pairs(), mixtures, token_types="mix")
    expected_kinds = 0.25 * kinds[[0, 0, 1, 1, 1]] + 0.75 * kinds[[0, 0, 0, 1, 1]]
    seen = mixed["inputs_embeds"][0] + kinds[mixed["token_type_ids"][0]]
    assert torch.allclose(seen, expected_words + expected_kinds, atol=1e-6)


def test_mixed_targets_sum_to_one() -> None:
    mixtures = samples([0, 1], [2, 2], [0.25, 0.5])
    hard = mixed_targets(torch.tensor([0, 1, 2]), mixtures, losses=LABEL.losses(), outputs=3)
    assert hard.tolist() == [[0.25, 0, 0.75], [0, 0.5, 0.5]]
    soft = mixed_targets(torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7]]), mixtures, losses=LABEL.losses(), outputs=2)
    assert torch.allclose(soft.sum(dim=1), torch.ones(2))
    assert torch.allclose(soft[0], torch.tensor([0.45, 0.55]))
    assert mixed_targets(torch.tensor([1.0, 2.0, 5.0]), mixtures, losses=NUMBER.losses(), outputs=1).tolist() == [
        4.0,
        3.5,
    ]


def outputs(seed: int) -> Outputs:
    return Outputs(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("distance", ["mse", "kl"])
def test_on_unmixed_rows_the_mixed_terms_are_the_plain_ones(distance: str) -> None:
    """With lambda = 1 the inputs are the rows, so that L_TMKD = L_KD and L_SM = L_MLE."""
    objective = MixKDObjective(MixKD(alpha_kd=1.0, distance=distance), kind=LABEL)  # type: ignore[arg-type]
    labels = torch.tensor([0, 2, 1, 1])
    plain = objective.losses(labels, outputs(0), outputs(1))
    targets = mixed_targets(labels, samples([0, 1, 2, 3], [3, 2, 1, 0], [1.0] * 4), losses=LABEL.losses(), outputs=3)
    mixed = objective.mixed_losses(targets, outputs(0), outputs(1))
    assert float(mixed["mixed_soft"]) == pytest.approx(float(plain["soft"]))
    assert float(mixed["mixed_hard"]) == pytest.approx(float(plain["hard"]))


def test_terms_without_weight_are_left_out() -> None:
    tmkd = MixKDObjective(MixKD(alpha_sm=0), kind=LABEL)
    assert set(tmkd.losses(torch.tensor([0, 1, 2, 0]), outputs(0), None)) == {"hard"}
    assert set(tmkd.mixed_losses(torch.eye(4, 3), outputs(0), outputs(1))) == {"mixed_soft"}
    assert MixKD(alpha_tmkd=0, alpha_sm=1).signals() == ()
    assert [signal.name for signal in MixKD(alpha_kd=1).signals()] == ["logits", "mixed-logits"]


def test_a_regression_is_mean_squared_error_throughout() -> None:
    objective = MixKDObjective(MixKD(alpha_kd=1.0, distance="kl"), kind=NUMBER)
    student, teacher = Outputs(torch.tensor([[1.0], [2.0]])), Outputs(torch.tensor([[3.0], [2.0]]))
    mixed = objective.mixed_losses(torch.tensor([2.0, 4.0]), student, teacher)
    assert {name: float(value) for name, value in mixed.items()} == {"mixed_hard": 2.5, "mixed_soft": 2.0}


def test_a_model_without_token_types_says_so() -> None:
    torch.manual_seed(0)
    model = MODELS["distilbert"]()
    with pytest.raises(UserError, match="token_types: keep"):
        mixed_inputs(model, pairs(), samples([0], [1], [0.5]), token_types="mix")


def test_unknown_settings_and_a_beta_of_zero_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Mixup(beta=0)
