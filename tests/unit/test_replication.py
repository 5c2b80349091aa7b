"""Adaptive replication: levels of looks, courses of claims over simulated seeds, and what they ask for."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from distilgrid.plan.settings import Decide
from distilgrid.reporting.claims.judge import Judgement, Result
from distilgrid.reporting.claims.schema import Claim
from distilgrid.reporting.intervals import EffectEstimate, SeedBlock, bounds, estimate
from distilgrid.reporting.replication import spending
from distilgrid.reporting.replication.looks import follow
from distilgrid.reporting.replication.spending import levels, schedule, spent
from distilgrid.reporting.scoring import scoring

ROWS, SAMPLES = 200, 400
ALPHA = 0.05


def claim(**changes: Any) -> Claim:
    given = {"id": "a", "claim": "a", "source": "here", "certainty": "unknown", "tasks": "all"}
    sides = {"better": {"method": "tmkd"}, "worse": {"method": "kd"}}
    return Claim.model_validate({**given, **sides, **changes})


def judgement(made: Claim, block: SeedBlock, count: int) -> Judgement:
    """What a claim's first seeds say, by the estimator of reports."""
    resampled = None if block.resampled is None else block.resampled[:, :count]
    found = estimate([SeedBlock(block.values[:count], resampled)], rows=ROWS)
    low, high = bounds(found, 1 - ALPHA) or (None, None)
    result = Result(("t",), found, "not enough evidence", found.effect, low, high, found.covers, count, 1, None, False)
    return Judgement(made, (result,), (), scoring("accuracy"))


def course(block: SeedBlock, *, made: Claim | None = None, first: int = 3, there: int = 20, **settings: Any) -> Any:
    made = made or claim()
    budget = Decide(**{"margin": None, **settings})
    found = lambda count: judgement(made, block, count)  # noqa: E731
    return follow(found, first=first, there=there, settings=budget, alpha=ALPHA, claims=1)


def simulated(generator: np.random.Generator, *, effect: float, seed: float, row: float, both: float) -> SeedBlock:
    """Effects of 20 seeds on rows that were drawn as well: (20,), and on resamples
    of the rows."""
    if row == both == 0:
        return SeedBlock(generator.normal(effect, seed, size=20))
    rows = generator.normal(scale=row, size=(ROWS, 1))
    values = effect + generator.normal(scale=seed, size=20) + rows + generator.normal(scale=both, size=(ROWS, 20))
    weights = generator.multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=SAMPLES)
    return SeedBlock(values.mean(axis=0), weights @ values / ROWS)


@pytest.fixture
def fewer_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels that are known to 2 %, in less time."""
    monkeypatch.setattr(spending, "PATHS", 100_000)
    levels.cache_clear()


def test_one_look_at_the_end_may_use_everything() -> None:
    assert levels((20,), 20, ALPHA)[0] == pytest.approx(ALPHA, rel=0.03)
    assert spent(0.0, ALPHA) == 0.0
    assert spent(1.0, ALPHA) == pytest.approx(ALPHA)


@pytest.mark.parametrize("counts", [(5, 10, 15, 20), (3, 6, 12, 20), (3, 4, 5, 6, 7, 8)])
def test_looks_together_cross_as_often_as_their_share_allows(counts: tuple[int, ...]) -> None:
    """Sequences of Student's t from other random numbers, tested at the levels."""
    from scipy.stats import t

    draws = np.random.default_rng(7).normal(size=(200_000, 20))
    crossed = np.zeros(len(draws), dtype=bool)
    for count, level in zip(counts, levels(counts, 20, ALPHA), strict=True):
        part = draws[:, :count]
        values = part.mean(axis=1) / part.std(axis=1, ddof=1) * math.sqrt(count)
        crossed |= np.abs(values) > t.ppf(1 - level / 2, count - 1)
        allowed = ALPHA * math.log(1 + (math.e - 1) * count / 20)
        assert 0.93 * allowed < crossed.mean() <= allowed


@pytest.mark.parametrize("alpha", [1e-4, 1e-5, 1e-6])
def test_levels_that_no_simulation_tells_keep_to_what_looks_may_use(alpha: float) -> None:
    """Many claims share a small error rate, at a high confidence."""
    found = levels((3, 7, 20), 20, alpha)
    assert found[0] == pytest.approx(spent(3 / 20, alpha))
    assert alpha / 2 < sum(found) <= alpha * (1 + 1e-9)


CASES: dict[str, tuple[int, dict[str, float]]] = {
    "seeds alone": (5000, {"seed": 1.0, "row": 0.0, "both": 0.0}),
    "seeds, and rows that each gets wrong": (300, {"seed": 0.05, "row": 0.3, "both": 1.0}),
    "rows above all": (300, {"seed": 0.02, "row": 1.0, "both": 0.5}),
}


def decided(block: SeedBlock) -> bool:
    return course(block).verdict in ("confirmed", "refuted")


@pytest.mark.usefixtures("fewer_paths")
@pytest.mark.parametrize("case", CASES)
def test_without_an_effect_at_most_five_percent_are_decided(case: str) -> None:
    """Claims are followed to their end, from 3 seeds to at most 20."""
    generator, (runs, spreads) = np.random.default_rng(11), CASES[case]
    blocks = (simulated(generator, effect=0.0, **spreads) for _ in range(runs))
    assert sum(map(decided, blocks)) / runs <= ALPHA


def test_the_same_looks_without_alpha_spending_decide_far_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distilgrid.reporting.replication.looks.levels", lambda counts, most, alpha: [alpha])
    generator = np.random.default_rng(11)
    blocks = (simulated(generator, effect=0.0, seed=1.0, row=0.0, both=0.0) for _ in range(1000))
    assert sum(map(decided, blocks)) / 1000 > 2 * ALPHA


@pytest.mark.usefixtures("fewer_paths")
def test_an_effect_as_large_as_the_margin_is_seldom_called_negligible() -> None:
    """Of the margin's own size, it is called smaller in at most half of five percent: one side of the interval."""
    generator = np.random.default_rng(3)
    blocks = [simulated(generator, effect=0.01, seed=0.01, row=0.0, both=0.0) for _ in range(2000)]
    found = [course(block, margin=1.0).verdict for block in blocks]
    assert found.count("negligible") / len(found) <= ALPHA / 2


# Courses --------------------------------------------------------------------------------------------------------------


def of_seeds(*effects: float) -> SeedBlock:
    """Effects of seeds without rows, the last one repeated in turn with a small change up to 20."""
    return SeedBlock(np.array(effects + tuple(effects[-2:]) * 10)[:20])


def test_a_clear_effect_needs_no_more_seeds() -> None:
    found = course(of_seeds(0.05, 0.051, 0.049, 0.05, 0.0502), first=5, there=5)
    assert (found.verdict, found.wanted, found.stopped) == ("confirmed", None, "")
    assert [look.seeds for look in found.looks] == [5]


def test_what_is_unclear_asks_for_the_next_look_and_goes_on_when_it_is_there() -> None:
    """A grid that has more seeds finds the looks of one that had fewer, and goes on from them."""
    block = SeedBlock(np.random.default_rng(1).normal(0.01, 0.02, size=20))
    before = course(block, first=5, there=5)
    assert before.verdict == "not enough evidence"
    assert before.wanted in schedule(5, 20)[1:]
    after = course(block, first=5, there=before.wanted)
    assert after.looks[: len(before.looks)] == before.looks
    assert len(after.looks) == len(before.looks) + 1
    assert course(block, first=5, there=before.wanted - 1) == before  # seeds between two looks change nothing


def test_an_effect_within_the_margin_is_negligible() -> None:
    found = course(of_seeds(0.001, -0.001, 0.0005, -0.0005, 0.0), first=5, there=20, margin=1.0)
    assert found.verdict == "negligible"
    assert -0.01 < found.looks[-1].low < 0 < found.looks[-1].high < 0.01


def test_a_claim_of_two_points_is_negligible_below_two_points() -> None:
    """`minimum` is the margin of a claim that states no margin: half a point is clear, and not what was claimed."""
    block = of_seeds(0.005, 0.0051, 0.0049, 0.005, 0.00502)
    assert course(block, first=5, there=5, made=claim(minimum=2.0)).verdict == "negligible"
    assert course(block, first=5, there=5, made=claim(minimum=0.2)).verdict == "confirmed"
    refuted = SeedBlock(-block.values)
    assert course(refuted, first=5, there=5, made=claim(minimum=2.0)).verdict == "refuted"


def test_seeds_end_at_the_largest_number() -> None:
    block = SeedBlock(np.tile([0.02, -0.02, 0.001, 0.0], 5))
    found = course(block, first=4, there=8, max_seeds=8)
    assert (found.wanted, found.stopped) == (None, "report.decide.max_seeds is reached")


def test_too_few_rows_end_a_claim_that_no_seed_can_decide() -> None:
    generator = np.random.default_rng(5)
    block = simulated(generator, effect=0.0, seed=0.0001, row=3.0, both=0.0)
    found = course(block, first=5, there=5)
    assert found.wanted is None
    assert "rows" in found.stopped


def test_a_number_that_seeds_do_not_change_gets_no_more_of_them() -> None:
    """Parameters are equal for every seed, and a latency is measured once, however briefly."""
    same = course(SeedBlock(np.zeros(20)), first=3, there=3)
    assert (same.wanted, same.stopped) == (None, "all seeds give the same number")
    brief = EffectEstimate(-1.0, None, ())
    result = Result(("t",), brief, "not enough evidence", -1.0, None, None, brief.covers, 1, 1, None, False)
    made = claim(metric="latency.onnxruntime-fp32", unit="ms", direction="lower")
    measured = Judgement(made, (result,), (), scoring("accuracy"))
    for there in (1, 3):
        found = follow(lambda _: measured, first=3, there=there, settings=Decide(), alpha=ALPHA, claims=1)
        assert (found.wanted, found.stopped) == (None, "measured once, so seeds say nothing of it")


def test_a_mean_over_other_tasks_is_no_further_look() -> None:
    """A student that learned nothing with an added seed takes its task out; the rest is another effect."""
    block = SeedBlock(np.tile([0.02, -0.02, 0.001, 0.0], 5))

    def judged(count: int) -> Judgement:
        found = judgement(claim(), block, count)
        if count < 6:
            return replace(found, results=(replace(found.results[0], tasks=("s", "t")),))
        return replace(found, missing=("models that learned anything for tmkd on s",))

    found = follow(judged, first=4, there=20, settings=Decide(margin=None), alpha=ALPHA, claims=1)
    assert [look.seeds for look in found.looks] == [4]
    assert (found.wanted, found.stopped) == (None, "no models that learned anything for tmkd on s")


@pytest.mark.parametrize(("first", "most"), [(3, 20), (5, 20), (5, 7), (19, 20), (30, 20)])
def test_looks_grow_to_the_largest_number(first: int, most: int) -> None:
    looks = schedule(first, most)
    assert looks[0] == first
    assert looks[-1] == max(first, most)
    assert all(before < after <= math.ceil(1.7 * before) for before, after in itertools.pairwise(looks))
