"""Claims beyond two students' scores: a share of the teacher's, latencies, searches of architectures."""

import statistics
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from scipy import stats
from tests.unit.fabricate import fabricate_results
from tests.unit.test_claims import FINETUNE, KD, file, findings, gain, judged, made, scores, skill  # noqa: F401

from distilgrid.core.planned import Artefact
from distilgrid.reporting.claims.judge import evaluate
from distilgrid.reporting.collect import Searched, collect
from distilgrid.reporting.findings import Findings, find

TEACHER = {"method": "teacher"}
ORT = "onnxruntime-fp32"


def teacher_score(findings: Findings, task: str) -> float:  # noqa: F811
    (found,) = [line for line in findings.of(task) if line.is_teacher and line.labels["fraction"] == 1.0]
    return found.score


def test_a_share_of_the_teachers_score(findings: Findings) -> None:  # noqa: F811
    side = {**KD, "student": "two", "fraction": 1.0}
    (result,) = judged(findings, better=side, worse=TEACHER, times=0.5, tasks=["topics"]).results
    own = scores(findings, task="topics", **side)
    assert result.effect == pytest.approx(statistics.fmean(own) - 0.5 * teacher_score(findings, "topics"))
    assert (result.verdict, result.covers, result.seeds, result.pairs) == ("confirmed", "seeds and rows", 3, 1)
    beyond = judged(findings, better=side, worse=TEACHER, times=1.0, tasks=["topics"])
    assert beyond.verdict in ("refuted", "not enough evidence")
    turned = judged(findings, better=TEACHER, worse=side, tasks=["topics"]).results[0]
    assert turned.effect == pytest.approx(teacher_score(findings, "topics") - statistics.fmean(own))


def test_latencies_are_compared_with_the_error_of_their_medians(findings: Findings) -> None:  # noqa: F811
    side = {**KD, "student": "two", "fraction": 1.0}
    line = next(e for e in findings.of("topics") if all(e.labels[axis] == value for axis, value in side.items()))
    (own, taught) = (each.speeds[ORT] for each in (line, findings.teacher(line)))
    claim: dict[str, Any] = {"metric": f"latency.{ORT}", "unit": "ms", "direction": "lower", "tasks": ["topics"]}
    (result,) = judged(findings, better=side, worse=TEACHER, times=0.9, **claim).results
    assert result.effect == pytest.approx(own.latency_ms - 0.9 * taught.latency_ms)
    error = 0.01 * (own.latency_ms + 0.9 * taught.latency_ms)  # the made-up medians are known to 2 %
    assert (result.low, result.high) == pytest.approx((result.effect - error, result.effect + error))
    assert result.covers == "measuring" and result.seeds_needed is None
    slack = own.latency_ms / taught.latency_ms
    unclear = judged(findings, better=side, worse=TEACHER, times=slack, **claim)
    assert unclear.verdict == "not enough evidence"
    assert judged(findings, better=side, worse=TEACHER, times=2 * slack, **claim).verdict == "confirmed"
    assert judged(findings, better=side, worse=TEACHER, times=slack / 2, **claim).verdict == "refuted"
    del claim["direction"]
    assert judged(findings, better=side, worse=TEACHER, times=2 * slack, **claim).verdict == "confirmed", "by default"
    absent = {**claim, "metric": "latency.openvino-fp32"}
    assert judged(findings, better=side, worse=TEACHER, **absent).missing == ("metric latency.openvino-fp32",)


def searched(name: str, seed: int, reward: float) -> Searched:
    labels = {"task": "topics", "teacher": "big", "search": name, "seed": seed}
    artefact = Artefact("search", f"searches/{name}-{seed}", {"seed": seed, "name": name}, (), labels=labels)
    best = [{"reward": reward, "quality": reward, "latency_ms": 2.0}]
    cost = {"estimates_seconds": 60.0 * (seed + 1), "preparation_seconds": 0.0}
    return Searched(artefact, {}, {"cost": cost}, best, pd.DataFrame())


def test_searches_are_not_paired_because_their_seeds_share_nothing(findings: Findings) -> None:  # noqa: F811
    rewards = {"kd-nas": [0.90, 0.93, 0.91], "random": [0.85, 0.89, 0.88]}
    runs = [searched(name, seed, reward) for name, found in rewards.items() for seed, reward in enumerate(found)]
    changed = replace(findings, collected=replace(findings.collected, searches=runs))
    sides = {"better": {"search": "kd-nas"}, "worse": {"search": "random"}, "tasks": ["topics"]}
    found = judged(changed, **sides, metric="best_reward")
    (result,) = found.results
    expected = stats.ttest_ind(rewards["kd-nas"], rewards["random"], equal_var=False)
    between = expected.confidence_interval(0.95)
    assert result.effect == pytest.approx(0.04)
    assert (result.low, result.high, result.p) == pytest.approx((between.low, between.high, expected.pvalue))
    assert stats.ttest_rel(rewards["kd-nas"], rewards["random"]).pvalue < 0.05 / 2, "pairing would sharpen it"
    assert (result.covers, result.seeds) == ("seeds", 3)
    assert judged(changed, **sides, metric="minutes", unit="minutes").results[0].effect == pytest.approx(0.0)
    absent = judged(changed, **{**sides, "worse": {"search": "tpe"}}, metric="best_reward")
    assert absent.verdict == "not in this grid" and absent.missing == ("search tpe",)
    assert judged(findings, **sides, metric="best_reward").missing == ("search kd-nas", "search random")


def test_parameters_are_a_number_like_any_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    grid = {"methods": ["kd"], "baselines": [], "seeds": [0, 1]}
    plan, results = fabricate_results(tmp_path_factory.mktemp("sizes"), overlay={"grid": grid})
    found = find(collect(plan, results))
    claim = {
        "better": {**KD, "student": "three"},
        "worse": {**KD, "student": "two"},
        "metric": "parameters",
        "unit": "parameters",
        "direction": "lower",
        "times": 0.999,
    }
    (judgement,) = evaluate(found, file(claim))
    sizes = {
        m.artefact.labels["student"]: m.metrics["parameters"]
        for m in found.collected.models
        if "student" in m.artefact.labels
    }
    assert judgement.results[0].effect == pytest.approx(sizes["three"] - 0.999 * sizes["two"])


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"better": {"search": "a"}, "worse": KD}, "names one on both sides"),
        ({"better": {"search": "a"}, "worse": {"search": "b"}}, "searches have best_reward"),
        ({"better": KD, "worse": FINETUNE, "metric": "best_reward"}, "searches have best_reward"),
        ({"better": {**TEACHER, "student": "two"}, "worse": KD}, "have no student"),
        ({"better": {"student": "two"}, "worse": KD}, "give a method, or else a search"),
        ({"better": KD, "worse": TEACHER, "metric": "latency.x"}, "give unit: ms"),
        ({"better": {"search": "a"}, "worse": {"search": "b"}, "metric": "minutes"}, "give unit: minutes"),
        ({"better": {"search": "a"}, "worse": {"search": "b"}, "metric": "best_latency_ms"}, "give unit: ms"),
        (
            {"better": KD, "worse": FINETUNE, "times": 0.5, "than": {"better": KD, "worse": FINETUNE}},
            "neither a teacher",
        ),
    ],
)
def test_claims_that_cannot_be_are_refused(claim: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        file(claim)
