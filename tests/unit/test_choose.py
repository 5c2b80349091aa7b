"""Choosing a model: which options there are, which limit decides, what is said when nothing fits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fabricate import fabricate_results

from distilgrid.core.errors import UserError
from distilgrid.deployment.choice import Limits, choose, choose_model, parse_latency
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import ModelOption, Offer, list_options
from distilgrid.plan.expand import Plan
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.learned import chance
from distilgrid.stages.report.page import outcomes

SKILL = {"teacher": 0.95, "kd": 0.94, "finetune": 0.3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A grid whose kd students are nearly as good as the teacher, and whose fine-tuned ones are not."""
    return fabricate_results(tmp_path_factory.mktemp("choose"), skill=lambda labels: SKILL[labels["method"]])


@pytest.fixture(scope="module")
def findings(made: tuple[Plan, Path]) -> Findings:
    """The grid's findings."""
    return find(collect(*made))


def options(findings: Findings, **where: Any) -> tuple[ModelOption, ...]:
    return list_options(findings, "reviews", Where("local-cpu", **where)).options


def with_teacher(options: tuple[ModelOption, ...], score: float) -> Offer:
    return Offer(tuple(replace(option, dev_teacher=score) for option in options), ())


def with_dev(findings: Findings, dev: dict[tuple[str, str, int], float]) -> Findings:
    """The same results with other scores on dev, by method, student and seed. Validation stays as it is."""
    models = []
    for model in findings.collected.models:
        labels = model.artefact.labels
        value = dev.get((labels["method"], labels.get("student", ""), model.seed))
        found = {} if value is None else {"dev": {**model.metrics["dev"], model.metrics["score_name"]: value}}
        models.append(replace(model, metrics={**model.metrics, **found}))
    return find(replace(findings.collected, models=models))


def with_constant(findings: Findings, *failed: tuple[str, str, int]) -> Findings:
    """The same results, had some models (method, student, seed) learned nothing."""
    models = []
    for model in findings.collected.models:
        labels = model.artefact.labels
        constant = (labels["method"], labels.get("student", ""), model.seed) in failed
        models.append(replace(model, metrics={**model.metrics, **({"constant": True} if constant else {})}))
    return find(replace(findings.collected, models=models))


def test_every_student_in_every_runtime_is_an_option(findings: Findings) -> None:
    found = options(findings)
    runtimes = ["torch-eager-fp32", "onnxruntime-fp32", "onnxruntime-int8"]
    expected = [(m, s, r) for s in ("three", "two") for m in ("finetune", "kd") for r in runtimes]
    assert sorted((o.line.labels["method"], o.line.name, o.runtime) for o in found) == sorted(expected)
    assert all(Path(o.folder).parts[0] == ("students" if "torch" in o.runtime else "exports") for o in found)
    assert all(o.model.labels["student"] == o.line.labels["student"] for o in found)


def test_the_longest_length_counts_unless_another_is_asked_for(findings: Findings) -> None:
    longest, short = options(findings), options(findings, at="32")
    assert [o.latency_ms for o in longest] == pytest.approx([4 * o.latency_ms for o in short], rel=1e-3)
    tail = options(findings, percentile="p99")
    assert all(slow.latency_ms > usual.latency_ms for slow, usual in zip(tail, longest, strict=True))


def test_what_was_not_measured_is_refused_with_what_was(findings: Findings) -> None:
    with pytest.raises(UserError, match=r"--at: nothing of 'reviews' was measured at 64; .*128.*32"):
        options(findings, at="64")


def test_the_smallest_file_within_both_limits_wins(findings: Findings) -> None:
    found = options(findings)
    loose = choose(Offer(found, ()), limits=Limits(latency_ms=1e6, loss=100.0)).winner
    assert loose is not None and (loose.line.name, loose.runtime) == ("two", "onnxruntime-int8")
    good = [o for o in found if o.loss <= 5]
    assert {o.line.labels["method"] for o in good} == {"kd"}, "the fabricated grid should make kd the better method"
    strict = choose(Offer(found, ()), limits=Limits(latency_ms=1e6, loss=5.0))
    assert strict.winner is not None and strict.winner.line.labels["method"] == "kd"
    assert strict.winner.size_bytes == min(o.size_bytes for o in good)
    assert f"{len(found)} take at most" in strict.reasons[0] and f"{len(good)} do both" in strict.reasons[0]


def test_the_seed_that_is_best_on_dev_ships_and_its_own_score_is_told(findings: Findings) -> None:
    for best in (0, 1):
        dev = {("kd", "two", seed): 0.9 if seed == best else 0.2 for seed in (0, 1)}
        changed = with_dev(findings, dev)
        (option,) = [o for o in options(changed) if (o.line.labels["method"], o.line.name) == ("kd", "two")
                     and o.runtime == "torch-eager-fp32"]  # fmt: skip
        (model,) = [m for m in option.line.models if m.seed == best]
        assert (option.model, option.folder) == (model.artefact, model.artefact.folder)
        assert (option.score, option.dev) == (model.metrics["score"], 0.9), "neither is a mean over seeds"
        said = choose(Offer((option,), ()), limits=Limits(latency_ms=1e6, loss=100.0)).reasons
        score = option.line.scoring.score(model.metrics["score"])
        assert any(f"it scores {score} (" in reason and f"on validation, seed {best}" in reason for reason in said)


def test_an_export_ships_with_the_score_of_that_export(findings: Findings) -> None:
    exported = [o for o in options(findings) if o.runtime == "onnxruntime-int8"]
    assert exported
    for option in exported:
        (export,) = [e for e in option.line.exports[option.runtime] if e.artefact.folder == option.folder]
        assert export.artefact.inputs["model"] == option.model
        assert option.score == export.values["score"]
        (model,) = [m for m in option.line.models if m.artefact == option.model]
        assert option.dev == pytest.approx(model.metrics["dev"]["accuracy"] - 0.004)


def test_dev_decides_and_validation_is_reported(findings: Findings) -> None:
    """Fine-tuning is far worse on validation. If dev says otherwise, dev is believed, and the loss is told."""
    dev = {(method, name, seed): {"finetune": 0.9, "kd": 0.2}[method]
           for method in ("finetune", "kd") for name in ("three", "two") for seed in (0, 1)}  # fmt: skip
    decision = choose(
        Offer(options(with_dev(findings, {**dev, ("teacher", "big", 0): 0.9})), ()),
        limits=Limits(latency_ms=1e6, loss=5.0),
    )
    assert decision.winner is not None and decision.winner.line.labels["method"] == "finetune"
    assert any("on validation it loses more than the limit of 5" in reason for reason in decision.reasons)


def test_a_model_that_learned_nothing_is_no_option(findings: Findings) -> None:
    """All seeds of kd two failed; of kd three the first, which is the exported one and the best on dev."""
    failed = with_constant(findings, ("kd", "two", 0), ("kd", "two", 1), ("kd", "three", 0))
    found = list_options(with_dev(failed, {("kd", "three", 0): 0.99}), "reviews", Where("local-cpu"))
    kd = [option for option in found.options if option.line.labels["method"] == "kd"]
    assert [(o.line.name, o.runtime, o.model.labels["seed"]) for o in kd] == [("three", "torch-eager-fp32", 1)]
    why = "it answers the same for every row: it learned nothing"
    counts = {"torch-eager-fp32": "1 model", "onnxruntime-fp32": "2 models", "onnxruntime-int8": "2 models"}
    assert set(found.left_out) == {f"left out: {runtime} of {models}: {why}" for runtime, models in counts.items()}
    decision = choose(found, limits=Limits(latency_ms=1e6, loss=100.0))
    assert decision.winner is not None and decision.winner.line.labels["method"] == "finetune"
    assert decision.reasons[-1].endswith(why), "the reason is told beside the choice"


def test_a_model_at_chance_on_dev_is_no_option(findings: Findings) -> None:
    """What the more frequent label alone would score, and one row more."""
    counts = findings.collected.datasets["reviews"]["splits"]["dev"]["label_counts"].values()
    most, rows = max(counts), sum(counts)
    for right, expected in ((most, {"finetune"}), (most + 1, {"finetune", "kd"})):
        dev = {("kd", student, seed): right / rows for student in ("three", "two") for seed in (0, 1)}
        found = list_options(with_dev(findings, dev), "reviews", Where("local-cpu"))
        assert {option.line.labels["method"] for option in found.options} == expected
        assert any("on dev it is no better than the same answer" in why for why in found.left_out) == (right == most)


@pytest.mark.parametrize("counts", [{"neg": 32, "pos": 0}, {"neg": 0, "pos": 32}])
def test_dev_rows_of_one_label_tell_no_model_from_a_constant_one(counts: dict[str, int]) -> None:
    dataset = {"splits": {"dev": {"label_counts": counts}}}
    assert [chance(dataset, metric) for metric in ("accuracy", "f1", "matthews")] == [None, None, None]
    assert chance({"splits": {"dev": {"label_counts": {"neg": 24, "pos": 8}}}}, "accuracy") == 0.75


def test_an_export_that_lost_what_was_learned_is_no_option(findings: Findings) -> None:
    exports = []
    for export in findings.collected.exports:
        int8, dev = export.artefact.labels["runtime"] == "onnxruntime-int8", export.values["dev"]
        exports.append(replace(export, values={**export.values, "dev": dict.fromkeys(dev, 0.2) if int8 else dev}))
    found = list_options(find(replace(findings.collected, exports=exports)), "reviews", Where("local-cpu"))
    assert {option.runtime for option in found.options} == {"torch-eager-fp32", "onnxruntime-fp32"}
    (why,) = found.left_out
    assert why.startswith("left out: onnxruntime-int8 of 4 models: on dev it is no better than the same answer")


def test_where_nothing_was_learned_nothing_is_chosen(findings: Findings) -> None:
    whole = [(method, student, seed) for method in SKILL for student in ("three", "two") for seed in (0, 1)]
    with pytest.raises(UserError, match=r"no model of 'reviews' on 'local-cpu' can be chosen; .*it learned nothing"):
        options(with_constant(findings, *whole))
    with pytest.raises(UserError, match="its teacher answers the same for every row, so no loss against it is known"):
        options(with_constant(findings, ("teacher", "big", 0)))


def test_a_line_that_learned_nothing_is_no_headline(findings: Findings) -> None:
    failed = with_constant(findings, ("kd", "two", 0))
    dev = {("kd", "two", seed): 0.99 for seed in (0, 1)}
    assert not outcomes(with_dev(failed, dev))[0].headline.startswith("kd two")


def test_the_headline_is_of_the_line_that_is_best_on_dev(findings: Findings) -> None:
    dev = {("finetune", "two", seed): 0.99 for seed in (0, 1)}
    changed = with_dev(findings, dev)
    (line,) = [line for line in changed.of("reviews") if line.key[2:4] == ("finetune", "two")]
    assert line.score < max(each.score for each in changed.of("reviews") if not each.is_teacher)
    said = outcomes(changed)[0].headline
    assert said.startswith("finetune two, best on dev, keeps ") and f"({line.scoring.score(line.score)} of " in said


def test_latency_is_a_limit_too(findings: Findings) -> None:
    found = options(findings)
    fastest = min(o.latency_ms for o in found)
    chosen = choose(with_teacher(found, 1.0), limits=Limits(latency_ms=fastest, loss=100.0)).winner
    assert chosen is not None and chosen.latency_ms == fastest


def test_when_nothing_fits_the_nearest_are_named(findings: Findings) -> None:
    found = options(findings)
    limits = Limits(latency_ms=min(o.latency_ms for o in found), loss=0.0)
    none = choose(with_teacher(found, 1.0), limits=limits)
    assert none.winner is None
    assert "0 do both" in none.reasons[0] and none.reasons[1].startswith("the best of the fast ones scores")


def test_a_loss_of_exactly_the_limit_keeps_to_it(findings: Findings) -> None:
    option = replace(options(findings)[0], dev=0.89, dev_teacher=0.90)
    assert option.loss > 1, "binary fractions"
    assert choose(Offer((option,), ()), limits=Limits(latency_ms=1e6, loss=1.0)).winner is option
    less = replace(option, dev=0.8899)
    assert choose(Offer((less,), ()), limits=Limits(latency_ms=1e6, loss=1.0)).winner is None


@pytest.mark.parametrize(("latency", "loss", "named"), [(1, -1, "loss"), (-1, 0, "latency"), (0, 0, "latency")])
def test_limits_that_nothing_can_keep_to_are_refused(latency: float, loss: float, named: str) -> None:
    with pytest.raises(UserError, match=f"--max-{named}: .* is no limit; write"):
        Limits(latency_ms=latency, loss=loss)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_limits_are_finite_numbers(value: float) -> None:
    for limits in ({"latency_ms": value, "loss": 0.0}, {"latency_ms": 1.0, "loss": value}):
        with pytest.raises(UserError, match=r"--max-(latency|loss): (nan|inf) .*is no limit"):
            Limits(**limits)


def test_a_device_that_the_grid_does_not_measure_on_is_refused(findings: Findings) -> None:
    with pytest.raises(UserError, match="--device: the grid measures nothing on 'phone'; "):
        list_options(findings, "reviews", Where("phone"))


@pytest.mark.parametrize(("text", "expected"), [("10ms", 10), ("0.5s", 500), ("800us", 0.8), ("12", 12)])
def test_latencies_are_read_with_their_unit(text: str, expected: float) -> None:
    assert parse_latency(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "fast", "-3ms", "0ms", "nan", "inf", "10 hours"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--max-latency: .* is no time; write 10ms"):
        parse_latency(text)


def test_a_grid_of_several_tasks_wants_one_named(made: tuple[Plan, Path]) -> None:
    (plan, results), limits = made, Limits(1, 1)
    with pytest.raises(UserError, match="--task: the grid has several; name one of: reviews, topics"):
        choose_model(plan=plan, results=results, task=None, limits=limits, where=Where("local-cpu"))
    with pytest.raises(UserError, match="--task: 'review' is not in the grid"):
        choose_model(plan=plan, results=results, task="review", limits=limits, where=Where("local-cpu"))
