"""What the milliseconds of a choice are of: whose benchmark, which percentile, how many threads, what the CPU has."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.command_line import Run, one_line
from tests.unit.fabricate import fabricate_results
from tests.unit.test_robust_results import CHOICE, Results

from distilgrid.core.errors import UserError
from distilgrid.deployment.choice import Limits, choose
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import ModelOption, Offer, list_options
from distilgrid.reporting.collect import FinishedArtefact, collect
from distilgrid.reporting.findings import Findings, find

BF16 = "torch-eager-bf16"


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Students of two teachers, of which `deep` is the better one; its benchmark is ten times as slow."""
    folder = tmp_path_factory.mktemp("choose-measured")
    overlay = {
        "grid": {"tasks": ["reviews"], "teachers": ["big", "deep"]},
        "teachers": {"deep": {"source": f"path:{folder / 'model'}", "training": {"epochs": 2}}},
    }
    skill = {"big": 0.6, "deep": 1.4}
    plan, results = fabricate_results(folder, overlay=overlay, skill=lambda labels: skill[labels["teacher"]])
    return changed(find(collect(plan, results)), lambda values: slower(values, 10), only="deep")


def changed(findings: Findings, change: Callable[[dict[str, Any]], None], *, only: str | None = None) -> Findings:
    """The findings with other values in `benchmark.json`."""
    benchmarks = copy.deepcopy(findings.collected.benchmarks)
    for benchmark in benchmarks:
        if only in (None, benchmark.artefact.labels["teacher"]):
            change(benchmark.values)
    return replace(findings, collected=replace(findings.collected, benchmarks=benchmarks))


def shapes(values: dict[str, Any], runtime: str = "") -> Iterator[dict[str, Any]]:
    for entry in values["entries"]:
        if entry["runtime"].startswith(runtime):
            yield from entry["shapes"]


def slower(values: dict[str, Any], factor: float) -> None:
    for shape in shapes(values):
        shape["p50_ms"] *= factor


def offer(findings: Findings, **where: Any) -> Offer:
    return list_options(findings, "reviews", Where("local-cpu", **where))


def words(findings: Findings, runtime: str) -> str:
    return next(o.conditions.words for o in offer(findings).options if o.runtime == runtime)


# Whose benchmark, whose teacher ---------------------------------------------------------------------------------------


def test_each_student_has_the_latency_from_the_benchmark_of_its_own_teacher(findings: Findings) -> None:
    found = {(o.line.labels["teacher"], o.line.labels["method"], o.line.labels["student"], o.runtime): o.latency_ms
             for o in offer(findings).options}  # fmt: skip
    assert len(found) == len(offer(findings).options) == 2 * 2 * 2 * 3
    for (teacher, *others), latency in found.items():
        if teacher == "deep":
            assert latency == pytest.approx(10 * found["big", *others])


def test_a_teacher_with_the_name_of_a_student_is_no_student(findings: Findings) -> None:
    def rename(values: dict[str, Any]) -> None:
        for entry in values["entries"]:
            if entry["role"] == "teacher":
                entry["name"] = "three"

    assert offer(changed(findings, rename)) == offer(findings)


def test_points_are_lost_against_the_own_teacher(findings: Findings) -> None:
    teachers = {line.labels["teacher"]: line.dev for line in findings.of("reviews") if line.is_teacher}
    assert teachers["big"] < teachers["deep"] - 0.05, "the fabricated grid should make deep the better teacher"
    everything = offer(findings)
    assert all(o.dev_teacher == teachers[o.line.labels["teacher"]] for o in everything.options)
    chosen = choose(everything, limits=Limits(latency_ms=1e6, loss=5.0))
    assert "of their own teacher's score" in chosen.reasons[0]
    assert f" {len([o for o in everything.options if o.loss <= 5])} lose at most 5 points" in chosen.reasons[0]
    assert any(o.loss <= 5 and o.line.labels["teacher"] == "big" for o in everything.options)


# Percentiles ----------------------------------------------------------------------------------------------------------


def only_p95(values: dict[str, Any], runtime: str = "") -> None:
    """As a colleague sends it who knows only two percentiles."""
    for shape in shapes(values, runtime):
        unknown = dict.fromkeys(("p90_ms", "p99_ms", "width", "drift", "noisy"))
        shape |= {"p95_ms": 2 * shape["p50_ms"], "samples_ms": [], **unknown}


@pytest.mark.parametrize("percentile", ["p90", "p99"])
def test_a_percentile_that_nobody_sent_is_refused_with_those_that_are_known(
    findings: Findings, percentile: str
) -> None:
    with pytest.raises(
        UserError, match=f"--percentile: 'local-cpu' has no {percentile} of .*; choose one of: p50, p95$"
    ):
        offer(changed(findings, only_p95), percentile=percentile)


def test_the_only_tail_that_was_sent_can_be_chosen(findings: Findings) -> None:
    sent = changed(findings, only_p95)
    pairs = zip(offer(sent, percentile="p95").options, offer(sent).options, strict=True)
    assert all(tail.latency_ms == 2 * usual.latency_ms for tail, usual in pairs)


def test_models_without_the_percentile_are_left_out_and_said_to_be(findings: Findings) -> None:
    found = offer(changed(findings, lambda values: only_p95(values, "onnxruntime-int8")), percentile="p99")
    assert {o.runtime for o in found.options} == {"torch-eager-fp32", "onnxruntime-fp32"}
    assert found.left_out == ("left out: onnxruntime-int8 of 8 models: no p99 was sent",)
    assert found.left_out[0] in choose(found, limits=Limits(1e6, 100.0)).reasons


def test_p95_comes_from_raw_samples_where_it_was_not_stored(findings: Findings) -> None:
    tails = [offer(findings, percentile=name).options for name in ("p90", "p95", "p99")]
    assert all(low.latency_ms < middle.latency_ms < high.latency_ms
               for low, middle, high in zip(*tails, strict=True))  # fmt: skip


# One shape for all ----------------------------------------------------------------------------------------------------


def test_a_model_that_was_not_measured_at_the_longest_length_is_not_judged_at_a_shorter_one(findings: Findings) -> None:
    def fail(values: dict[str, Any]) -> None:
        for entry in values["entries"]:
            if entry["runtime"] == "onnxruntime-int8":
                *entry["shapes"], last = entry["shapes"]
                entry["skipped_shapes"] = [{**last, "reason": "too long"}]

    found = offer(changed(findings, fail))
    assert {o.runtime for o in found.options} == {"torch-eager-fp32", "onnxruntime-fp32"}
    assert found.left_out == ("left out: onnxruntime-int8 of 8 models: too long",)


def test_threads_that_were_not_measured_are_refused_with_those_that_were(findings: Findings) -> None:
    message = r"--threads: nothing of 'reviews' was measured on 'local-cpu' with 7 threads; choose one of: 1$"
    with pytest.raises(UserError, match=message):
        offer(findings, threads=7)


def test_texts_that_were_not_measured_are_refused_with_the_setting_that_measures_them(findings: Findings) -> None:
    with pytest.raises(
        UserError, match=r"--at: nothing of 'reviews' was measured at text-to-label; .*`benchmark.texts`"
    ):
        offer(findings, at="text-to-label")


# Torch in other precisions --------------------------------------------------------------------------------------------


def with_bf16(findings: Findings) -> Findings:
    def add(values: dict[str, Any]) -> None:
        own = [c for c in values["entries"] if c["runtime"] == "torch-eager-fp32"]
        values["entries"] += [{**entry, "runtime": BF16} for entry in own]

    return changed(findings, add)


def test_torch_in_another_precision_is_no_option_while_its_change_of_the_score_is_unknown(findings: Findings) -> None:
    found = offer(with_bf16(findings))
    assert BF16 not in {o.runtime for o in found.options}
    assert found.left_out == (f"left out: {BF16} of 8 models: what it changes in the score is not known",)


def test_torch_in_another_precision_has_the_scores_that_its_parity_recorded(findings: Findings) -> None:
    def judged(line: Any) -> Any:
        export = next(iter(line.exports.values()))[0]
        size = line.models[0].metrics["size_bytes"]
        scores = {"score": 0.70, "torch_score": 0.73, "score_name": "accuracy", "dev": {"accuracy": 0.71}}
        values = {"accepted": True, "size_bytes": size, **scores}
        return replace(line, exports={**line.exports, BF16: (FinishedArtefact(export.artefact, {}, values),)})

    known = with_bf16(findings)
    known = replace(known, lines=[line if line.is_teacher else judged(line) for line in known.lines])
    plain: dict[Any, ModelOption] = {o.line.key: o for o in offer(known).options if o.runtime == "torch-eager-fp32"}
    found = [o for o in offer(known).options if o.runtime == BF16]
    assert len(found) == 8
    for option in found:
        exported = option.line.exports[BF16][0].artefact.inputs["model"]
        (model,) = [m for m in option.line.models if m.artefact == exported]
        assert (option.model, option.folder) == (model.artefact, model.artefact.folder)
        assert (option.score, option.dev) == (0.70, 0.71)
        assert option.size_bytes == plain[option.line.key].size_bytes


# What is said ---------------------------------------------------------------------------------------------------------


def test_the_conditions_name_the_machine_and_the_measurement(findings: Findings) -> None:
    local = changed(findings, lambda values: values.update(machine={"cpu": "ACME 9000 CPU @ 2 GHz", "flags": ["avx2"]}))
    expected = (
        "p50 at batch size 1, 128 tokens, on ACME 9000, 1 thread (local-cpu), in onnxruntime-fp32 with weights in fp32"
    )
    assert words(local, "onnxruntime-fp32") == expected


@pytest.mark.parametrize(
    ("machine", "features"),
    [
        (
            {"flags": ["avx2", "avx512_bf16", "avx512_vnni", "amx_int8"], "system": "Linux x86_64"},
            "avx512_vnni, amx_int8",
        ),
        ({"flags": ["avx2"], "system": "Linux x86_64"}, "none"),
        ({"flags": [], "system": "Linux x86_64"}, "none"),
        ({"flags": None, "system": "Darwin arm64"}, "unknown"),
        ({"system": "Linux x86_64"}, "unknown"),
    ],
)
def test_int8_is_said_with_the_features_of_the_cpu(findings: Findings, machine: dict[str, Any], features: str) -> None:
    found = changed(findings, lambda values: values.update(machine={"cpu": "ACME", **machine}))
    assert words(found, "onnxruntime-int8").endswith(f"; the CPU's features for int8: {features}")
    assert "features" not in words(found, "onnxruntime-fp32")


def test_features_that_a_sender_left_out_are_unknown(findings: Findings) -> None:
    sent = {"name": "Board", "cpu": "A76", "processor": "cpu", "flags": None, "system": "Linux aarch64", "phone": False}
    found = changed(findings, lambda values: values.update(machine=sent, kind="import"))
    assert "on Board (imported), 1 thread" in words(found, "onnxruntime-int8")
    assert words(found, "onnxruntime-int8").endswith("int8: unknown")


@pytest.mark.parametrize("sent", [{"processor": "cuda"}, {"processor": None, "machine": {"processor": "cuda"}}])
def test_what_a_gpu_measured_is_said_to_be(findings: Findings, sent: dict[str, Any]) -> None:
    machine = {"cpu": "ACME", "gpu": "ACME H9", "system": "Linux x86_64", **sent.get("machine", {})}
    found = changed(findings, lambda values: values.update({**sent, "machine": machine}))
    assert {o.conditions.processor for o in offer(found).options} == {"cuda"}
    assert "on ACME H9 fed by 1 thread (local-cpu)" in words(found, "onnxruntime-int8")
    assert "features" not in words(found, "onnxruntime-int8"), "those of the CPU decide nothing"


# From the command line ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("choose-command")
    plan, _ = fabricate_results(folder)
    return Results(folder, plan)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--max-loss", "nan"), "--max-loss: nan is no limit"),
        (("--max-loss", "-1"), "--max-loss: -1 is no limit"),
        (("--max-latency", "nan"), "--max-latency: 'nan' is no time"),
        (("--threads", "3"), "--threads: nothing of 'reviews' was measured"),
    ],
)
def test_bad_limits_are_refused_in_one_line(made: Results, run: Run, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in one_line(run(*CHOICE, *words, *made.given))


def test_what_the_milliseconds_are_of_is_printed(made: Results, run: Run) -> None:
    said = run(*CHOICE[:3], "--max-latency", "1us", "--max-loss", "100", *made.given)[1]
    assert "these milliseconds: p50 at batch size 1, 128 tokens, on " in said
