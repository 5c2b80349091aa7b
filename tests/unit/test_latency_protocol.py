"""The latency protocol: turns, medians, noise, energy."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.tiny_benchmark import QUICK

from distilgrid.benchmark import protocol as protocol_module
from distilgrid.benchmark.protocol import BURST, PRIMING, Run, Series, Steadiness, measure, repeated
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core import progress as progress_module


def timed(runs: list[Run], **protocol: Any) -> list[Series]:
    """Measure calls, as often as asked and no more."""
    return measure([repeated(run) for run in runs], protocol=Benchmark(**{**QUICK, **protocol}), label="test")


def test_entries_take_turns_in_shuffled_rounds() -> None:
    calls: list[str] = []
    series = timed([lambda n=n: calls.append(n) for n in "abc"], warmup=2, repetitions=BURST * 20)
    assert calls[:6] == list("aabbcc")
    turn = PRIMING + BURST
    turns = [calls[6:][i : i + turn] for i in range(0, len(calls) - 6, turn)]
    assert all(len(set(names)) == 1 for names in turns)
    rounds = ["".join(names[0] for names in turns[i : i + 3]) for i in range(0, len(turns), 3)]
    assert len(rounds) == 20
    assert all(sorted(order) == list("abc") for order in rounds)
    assert len(set(rounds)) > 1
    assert [len(found.samples) for found in series] == [BURST * 20] * 3


def test_order_of_rounds_is_seeded() -> None:
    def order() -> list[str]:
        calls: list[str] = []
        timed([lambda n=n: calls.append(n) for n in "abcd"], warmup=0, repetitions=30)
        return calls

    assert order() == order()


@pytest.mark.parametrize(("repetitions", "turns"), [(3, 1), (BURST, 1), (BURST + 1, 2)])
def test_every_sample_is_kept(repetitions: int, turns: int) -> None:
    found = timed([lambda: None, lambda: None], warmup=0, repetitions=repetitions, max_repetitions=repetitions)
    assert [len(series.samples) for series in found] == [turns * BURST] * 2
    assert all(time > 0 for series in found for time in series.samples)


def pretend_times(monkeypatch: pytest.MonkeyPatch, milliseconds: Callable[[int], float]) -> None:
    """Let the n-th timed call take so many milliseconds."""
    clock = {"now": 0.0, "reads": 0}

    def read() -> int:
        clock["reads"] += 1
        if clock["reads"] % 2 == 0:
            clock["now"] += 1e6 * milliseconds(clock["reads"] // 2 - 1)
        return int(clock["now"])

    monkeypatch.setattr(protocol_module.time, "perf_counter_ns", read)


def test_repetitions_go_on_until_the_median_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_times(monkeypatch, lambda call: 10 + call // BURST % 2)  # turns of 10 ms and of 11 ms
    unknown = timed([lambda: None], repetitions=50, max_repetitions=200, precision=0.05)[0]
    assert unknown.steadiness.turns == 40 and unknown.steadiness.width == pytest.approx(1 / 10.5)
    pretend_times(monkeypatch, lambda _: 10)
    known = timed([lambda: None], repetitions=50, max_repetitions=200, precision=0.05)[0]
    assert known.steadiness.turns == 10 and known.steadiness.width == 0


def test_a_entry_that_drifts_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"repetitions": 50, "max_repetitions": 50}
    pretend_times(monkeypatch, lambda call: 10 if call < 25 else 12)  # the machine slows down once
    again = timed([lambda: None], retries=2, **quick)[0]
    assert again.attempts == 2 and again.summary(max_drift=0.05)["noisy"] is False
    assert again.samples == [12] * 50
    assert again.summary(max_drift=0.05)["given_up_ms"] == [[10.0] * 25 + [12.0] * 25]
    pretend_times(monkeypatch, lambda call: 10 if call < 25 else 12)
    once = timed([lambda: None], retries=0, **quick)[0].summary(max_drift=0.05)
    assert once["attempts"] == 1 and once["noisy"] is True and once["drift"] == pytest.approx(2 / 11)


def test_a_median_that_is_never_known_is_marked_without_a_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_times(monkeypatch, lambda call: 10 + call // BURST % 2)  # turns of 10 ms and of 11 ms, all along
    found = timed([lambda: None], repetitions=200, max_repetitions=200)[0].summary(max_drift=0.05)
    assert found["attempts"] == 1 and found["drift"] == 0
    assert found["width"] == pytest.approx(1 / 10.5, abs=1e-3) and found["noisy"] is True


def test_too_few_turns_to_know_a_median_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_times(monkeypatch, lambda call: 9 if call // BURST % 2 else 1)
    found = timed([lambda: None], repetitions=25, max_repetitions=25)[0].summary(max_drift=0.05)
    assert found["width"] is None and found["drift"] == 0 and found["noisy"] is True


def test_going_on_is_announced_with_a_limit(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    pretend_times(monkeypatch, lambda call: 10 + call // BURST % 2)
    monkeypatch.setattr(progress_module, "LOG_SECONDS", 0.0)
    with caplog.at_level("INFO", logger="distilgrid"):
        timed([lambda: None], repetitions=50, max_repetitions=200, precision=0.05)
    assert "test, until medians are known (at most): 29 of 30, about " in caplog.text


def test_turns_of_texts_time_each_call_once() -> None:
    calls: list[str] = []
    work = [lambda n=n: calls.append(n) for n in "abc"]
    (series,) = measure([work], protocol=Benchmark(**{**QUICK, "warmup": 0}), label="test")
    assert calls == list("aaaabc" * 2)
    assert [len(turn) for turn in series.turns] == [3, 3]


def test_energy_is_counted_per_run() -> None:
    used = iter(range(100))
    (series,) = measure([repeated(lambda: None)], protocol=Benchmark(**QUICK), label="t", energy=lambda: next(used))
    assert series.summary(max_drift=1)["energy_mj"] == pytest.approx(1e3 * 2 / (2 * (PRIMING + BURST)))
    assert timed([lambda: None])[0].summary(max_drift=1)["energy_mj"] is None


def test_medians_interval_is_that_of_order_statistics() -> None:
    values = [float(n) for n in range(1, 21)]
    assert Steadiness.of(values[:5]).width is None
    # Binomial(20, 1/2): the 6th and the 15th of 20 values enclose the median with 95.9 %
    assert Steadiness.of(values).width == pytest.approx((15 - 6) / 10.5)


def test_garbage_collector_rests_while_timing() -> None:
    states: list[bool] = []
    timed([lambda: states.append(gc.isenabled())], warmup=0)
    assert not any(states)
    assert gc.isenabled()


def test_garbage_collector_comes_back_after_a_failure() -> None:
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        timed([fail], warmup=0)
    assert gc.isenabled()
