"""Intervals over seeds and rows: against simulated truth, and against the textbook tests that they generalise."""

import numpy as np
import pytest
from scipy import stats

from distilgrid.reporting.findings import Difference
from distilgrid.reporting.intervals import (
    EffectEstimate,
    RowPart,
    SeedBlock,
    SeedPart,
    bounds,
    estimate,
    mean_of,
    p_value,
    resampled_scores,
    rows_too_few,
    seeds_needed,
)
from distilgrid.search.ranks import tau_bounds

ROWS = 150
QUALITY = np.array([1.0, 0.8])


def simulated(
    generator: np.random.Generator, *, seeds: int, by_seed: float, by_both: float
) -> tuple[EffectEstimate, np.ndarray]:
    """Two methods' accuracies on rows of varying hardness: seeds differ in quality, and in which rows they miss.

    The estimate, and the effect on each resample of the rows.
    """
    hardness = generator.normal(size=(ROWS, 1, 1))
    luck = by_seed * generator.normal(size=(1, 2, seeds)) + by_both * generator.normal(size=(ROWS, 2, seeds))
    right = (QUALITY[:, None] + luck > hardness).astype(int).reshape(ROWS, 2 * seeds)
    seed = int(generator.integers(2**31))
    drawn = resampled_scores("accuracy", labels=np.ones(ROWS), predicted=right, samples=150, seed=seed)
    scores = right.mean(axis=0)
    block = SeedBlock(scores[:seeds] - scores[seeds:], drawn[:, :seeds] - drawn[:, seeds:])
    assert block.resampled is not None
    return estimate([block], rows=ROWS), block.resampled.mean(axis=1)


def limits(found: EffectEstimate, confidence: float = 0.95) -> tuple[float, float]:
    between = bounds(found, confidence)
    assert between is not None
    return between


def coverage(*, seeds: int, by_seed: float, by_both: float) -> tuple[float, float]:
    """How often the interval holds the true effect, and how often one over rows alone does."""
    generator, spread = np.random.default_rng(4), np.sqrt(1 + by_seed**2 + by_both**2)
    truth = float(np.subtract(*stats.norm.cdf(QUALITY / spread)))
    held = []
    for _ in range(500):
        found, drawn = simulated(generator, seeds=seeds, by_seed=by_seed, by_both=by_both)
        alone = np.percentile(drawn, [2.5, 97.5])
        held.append([low <= truth <= high for low, high in (limits(found), alone)])
    both, rows_alone = np.mean(held, axis=0)
    return float(both), float(rows_alone)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("by_seed", "by_both"), [(0.0, 0.4), (0.1, 0.3), (0.3, 0.1)])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int, by_seed: float, by_both: float) -> None:
    both, rows_alone = coverage(seeds=seeds, by_seed=by_seed, by_both=by_both)
    assert both >= 0.9
    if by_seed >= 0.1:
        assert rows_alone < 0.8, "seeds matter here, so that an interval without them must fail"


def test_intervals_are_not_wider_than_they_need_be() -> None:
    """Where seeds differ by nothing but the rows they miss, 5 of them come near to the error that theory gives."""
    generator = np.random.default_rng(2)
    made = [simulated(generator, seeds=5, by_seed=0.0, by_both=0.4)[0] for _ in range(300)]
    widths = [high - low for low, high in map(limits, made)]
    ideal = 2 * 1.96 * np.std([found.effect for found in made])
    assert ideal < np.mean(widths) < 1.3 * ideal


def test_without_rows_paired_seeds_give_students_interval() -> None:
    better, worse = np.array([0.81, 0.84, 0.80, 0.86]), np.array([0.80, 0.81, 0.80, 0.82])
    expected = stats.ttest_rel(better, worse).confidence_interval(0.9)
    assert bounds(estimate([SeedBlock(better - worse)], rows=0), 0.9) == pytest.approx((expected.low, expected.high))


def test_without_rows_unpaired_seeds_give_welchs_interval() -> None:
    better, worse = np.array([0.81, 0.84, 0.80, 0.86]), np.array([0.80, 0.70, 0.79])
    expected = stats.ttest_ind(better, worse, equal_var=False).confidence_interval(0.95)
    found = estimate([SeedBlock(better), SeedBlock(-worse)], rows=0)
    assert bounds(found, 0.95) == pytest.approx((expected.low, expected.high))


def test_rows_that_all_seeds_share_are_told_from_those_that_each_misses() -> None:
    generator = np.random.default_rng(0)
    shared, own = generator.normal(size=(20_000, 1)), generator.normal(size=(20_000, 4))
    found = estimate([SeedBlock(np.zeros(4), 3 * shared + 2 * own)], rows=500)
    assert found.rows[0].variance == pytest.approx(9, rel=0.05)
    assert found.seeds is not None
    assert found.seeds[0].row_noise == pytest.approx(4, rel=0.05)
    low, high = limits(found)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(9 + 4 / 4), rel=0.05), (
        "equal seeds are luck: rows still count"
    )


def test_one_seed_has_no_interval_however_many_rows_there_are() -> None:
    drawn = np.random.default_rng(0).normal(0.02, 0.001, size=(2000, 1))
    found = estimate([SeedBlock(np.array([0.02]), drawn)], rows=300)
    assert (found.covers, bounds(found, 0.95), p_value(found)) == ("nothing", None, None)
    assert seeds_needed(found, 0.02, 0.95) is None
    assert bounds(estimate([SeedBlock(np.array([0.02]))], rows=0), 0.95) is None


def test_tasks_weigh_equally_and_their_errors_are_independent() -> None:
    parts = [EffectEstimate(0.01 * n, (SeedPart(0.04, 0.01, 4),), (RowPart(0.002, 10**9),)) for n in (1, 3)]
    found = mean_of(parts)
    assert found.effect == pytest.approx(0.02)
    variance = (0.04 / 4 + 0.002) / 2
    freedom = variance**2 / (2 * (0.04 / 4 / 4) ** 2 / 3)
    margin = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert bounds(found, 0.95) == pytest.approx((0.02 - margin, 0.02 + margin))


def test_one_task_with_a_single_seed_leaves_the_mean_without_an_interval() -> None:
    known = estimate([SeedBlock(np.array([0.1, 0.2]), np.zeros((50, 2)))], rows=9)
    single = estimate([SeedBlock(np.array([0.1]), np.ones((50, 1)))], rows=9)
    assert mean_of([known, single]).covers == "nothing"
    assert bounds(mean_of([known, single]), 0.95) is None


@pytest.mark.parametrize("distance", [0.004, 0.01, 0.03])
def test_the_needed_seeds_are_the_first_number_that_is_enough(distance: float) -> None:
    values = np.array([0.0, 0.02, 0.04])
    needed = seeds_needed(estimate([SeedBlock(values)], rows=0), distance, 0.95)

    def margin(count: int) -> float:
        return float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count))

    assert needed == next(count for count in range(2, 1000) if margin(count) < distance)


def test_fewer_rows_ask_for_more_seeds_until_no_number_is_enough() -> None:
    def made(variance: float) -> EffectEstimate:
        return EffectEstimate(0.02, (SeedPart(0.0004, 0.0, 3),), (RowPart(variance, 1000),))

    needed = [seeds_needed(made(variance), 0.02, 0.95) for variance in (0.0, 5e-5, 1e-4, 1.2e-4)]
    assert needed[:3] == sorted(needed[:3]) and needed[0] < needed[2]
    assert needed[3] is None
    assert [rows_too_few(made(v), 0.02, 0.95) for v in (1e-4, 1.2e-4)] == [False, True], "(0.02 / 1.96)^2 = 1.04e-4"
    assert seeds_needed(made(0.0), 0.0, 0.95) is None


def test_a_p_value_is_below_the_level_just_where_the_interval_excludes_zero() -> None:
    generator = np.random.default_rng(3)
    for shift in np.linspace(-0.06, 0.06, 25):
        values = shift + generator.normal(scale=0.02, size=4)
        resampled = values + generator.normal(scale=0.01, size=(400, 1)) + generator.normal(scale=0.01, size=(400, 4))
        found = estimate([SeedBlock(values, resampled)], rows=300)
        low, high = limits(found)
        p = p_value(found)
        assert p is not None
        assert (p < 0.05) == (low > 0 or high < 0)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_intervals_of_kendalls_tau_hold_it_as_often_as_they_say(rho: float) -> None:
    """Normal pairs with a correlation rho have the tau 2 asin(rho) / pi."""
    generator, truth, held = np.random.default_rng(0), 2 * np.arcsin(rho) / np.pi, []
    for _ in range(600):
        pairs = generator.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=20)
        low, high = tau_bounds(float(stats.kendalltau(*pairs.T).statistic), 20, 0.95)
        held.append(low <= truth <= high)
    assert 0.92 <= np.mean(held) <= 0.995


def test_a_perfect_order_of_few_is_not_certain() -> None:
    low, high = tau_bounds(1.0, 6, 0.95)
    assert low < 0.8 and high == 1.0
    assert tau_bounds(-1.0, 6, 0.95) == pytest.approx((-high, -low))
    assert tau_bounds(1.0, 20, 0.95)[0] > low


def test_equal_scores_of_other_numbers_of_seeds_do_not_differ() -> None:
    """Models that all give one answer: the mean of seven equal scores is not quite that of two."""
    score = 7 / 300
    found = estimate([SeedBlock(np.full(count, sign * score)) for count, sign in ((2, 1), (7, -1))], rows=300)
    assert found.effect != 0
    low, high = bounds(found, 0.95) or (None, None)
    assert p_value(found) == 1.0
    assert Difference(found.effect, low, high, p=1.0).verdict == "unclear"
    exact = estimate([SeedBlock(np.full(3, 0.01))], rows=300)
    assert p_value(exact) == 0.0 and p_value(exact, against=0.01) == 1.0


def test_without_rows_it_is_the_paired_t_test() -> None:
    values = np.array([0.4, 1.1, 0.7, 0.9])
    assert p_value(estimate([SeedBlock(values)], rows=0)) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)


def test_one_seed_and_a_measurement_have_no_p_value() -> None:
    assert p_value(estimate([SeedBlock(np.array([0.4]))], rows=0)) is None
    assert p_value(EffectEstimate(1.0, None, (), error=0.2)) is None
