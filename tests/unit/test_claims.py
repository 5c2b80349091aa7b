"""Claims judged on fabricated grids: which cells are compared, what the verdicts are, and what reports show of them."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from scipy import stats
from tests.unit.fabricate import LAYERS, fabricate_results
from tests.unit.made import report

from distilgrid.core.artefacts import read_json, verified
from distilgrid.plan.expand import Plan
from distilgrid.reporting.claims.judge import Judgement, Result, evaluate, judge_joint
from distilgrid.reporting.claims.schema import ClaimsFile
from distilgrid.reporting.claims.tables import claims_json, claims_table, claims_tables, published_table, reason
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.intervals import EffectEstimate
from distilgrid.reporting.table import Table, latex, markdown
from distilgrid.stages.report.page import render

KD = {"method": "kd"}
FINETUNE = {"method": "finetune"}
FRACTIONS = (0.1, 1.0)
GAP = "generalisation_gap"


def skill(labels: Mapping[str, Any]) -> float:
    """kd is far above finetune, more so with few rows; pkd is as good as finetune; seeds differ a little."""
    if labels["method"] == "teacher":
        return 1.6
    gain = {"kd": 0.5 if labels["fraction"] == 1.0 else 1.0}.get(labels["method"], 0.0)
    return 0.4 + gain + 0.02 * labels["seed"] - (0.1 if labels["student"] == "two" else 0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    grid = {"methods": ["finetune", "kd", "pkd"], "fractions": list(FRACTIONS), "seeds": [0, 1, 2]}
    overlay = {"grid": grid, "methods": {"pkd": {"objective": "pkd"}}}
    return fabricate_results(tmp_path_factory.mktemp("claims"), overlay=overlay, skill=skill)


@pytest.fixture(scope="module")
def findings(made: tuple[Plan, Path]) -> Findings:
    """Fabricated results; a made-up gap is smaller for kd, the more so the later the seed."""
    collected = collect(*made)
    for model in collected.models:
        labels = model.artefact.labels
        model.metrics[GAP] = 0.1 - (0.03 + 0.01 * labels["seed"] if labels["method"] == "kd" else 0.0)
    return find(collected)


def file(*claims: Mapping[str, Any], published: tuple[Mapping[str, Any], ...] = ()) -> ClaimsFile:
    said = {"claim": "It is so.", "source": "table 1", "certainty": "recalled"}
    listed = [{"id": f"claim-{n}", **said, **claim} for n, claim in enumerate(claims)]
    paper = {"title": "A paper", "year": 2021, "url": "https://example.org"}
    return ClaimsFile.model_validate({"paper": paper, "claims": listed, "published": list(published)})


def judged(findings: Findings, **claim: Any) -> Judgement:
    (judgement,) = evaluate(findings, file(claim))
    return judgement


def test_models_that_learned_nothing_decide_no_claim(made: tuple[Plan, Path]) -> None:
    collected = collect(*made)
    for model in collected.models:
        labels = model.artefact.labels
        if (labels["task"], labels["method"], labels["student"], labels["seed"]) == ("topics", "pkd", "two", 1):
            model.metrics["constant"] = True
    judgement = judged(find(collected), better={"method": "kd"}, worse={"method": "pkd"})
    assert {result.tasks for result in judgement.results} == {("reviews",)}
    assert any("models that learned anything for pkd, two" in each for each in judgement.missing)


def test_students_of_a_teacher_that_learned_nothing_decide_no_claim(made: tuple[Plan, Path]) -> None:
    collected = collect(*made)
    for model in collected.models:
        if model.artefact.labels["task"] == "topics" and model.artefact.labels["method"] == "teacher":
            model.metrics["constant"] = True
    judgement = judged(find(collected), better=KD, worse=FINETUNE)
    assert {result.tasks for result in judgement.results} == {("reviews",)}
    assert any("models that learned anything for the teacher of kd" in each for each in judgement.missing)


def scores(findings: Findings, **labels: Any) -> list[float]:
    """The main score of each seed, mean over the cells with these labels."""
    models = [m for m in findings.collected.models if m.artefact.stage == "distill"]
    models = [m for m in models if all(m.artefact.labels[name] == value for name, value in labels.items())]
    seeds = sorted({model.seed for model in models})
    return [statistics.fmean(m.metrics["score"] for m in models if m.seed == seed) for seed in seeds]


def gain(findings: Findings, better: Mapping[str, Any], worse: Mapping[str, Any], **labels: Any) -> float:
    both = [statistics.fmean(scores(findings, **{**labels, **side})) for side in (better, worse)]
    return both[0] - both[1]


def test_a_clear_gain_is_confirmed_and_its_opposite_refuted(findings: Findings) -> None:
    found = judged(findings, better=KD, worse=FINETUNE)
    assert [result.verdict for result in found.results] == ["confirmed"] * 3
    assert found.verdict == "confirmed" and found.missing == ()
    assert {result.covers for result in found.results} == {"seeds and rows"}
    assert judged(findings, better=FINETUNE, worse=KD).verdict == "refuted"
    assert judged(findings, better=KD, worse=FINETUNE, direction="lower").verdict == "refuted"
    assert judged(findings, better=FINETUNE, worse=KD, direction="lower").verdict == "confirmed"


def test_equal_methods_leave_a_claim_open_and_the_needed_seeds_are_told(findings: Findings) -> None:
    for result in judged(findings, better={"method": "pkd"}, worse=FINETUNE).results:
        assert result.verdict == "not enough evidence"
        assert result.low is not None and result.high is not None and result.low < 0 < result.high
        assert result.rows_too_few or (result.seeds_needed or 0) > 3


def test_axes_that_are_not_given_are_matched(findings: Findings) -> None:
    overall, reviews, topics = judged(findings, better=KD, worse=FINETUNE).results
    assert [result.tasks for result in (overall, reviews, topics)] == [("reviews", "topics"), ("reviews",), ("topics",)]
    assert [result.pairs for result in (overall, reviews, topics)] == [8, 4, 4], "two students, two fractions"
    assert reviews.effect == pytest.approx(gain(findings, KD, FINETUNE, task="reviews"))
    assert overall.effect == pytest.approx((reviews.effect + topics.effect) / 2)


def test_given_axes_choose_cells_and_may_differ_between_the_sides(findings: Findings) -> None:
    chosen = {"student": "two", "fraction": 0.1}
    (result,) = judged(findings, better={**KD, **chosen}, worse=FINETUNE, tasks=["topics"]).results
    assert result.pairs == 1
    assert result.effect == pytest.approx(gain(findings, KD, FINETUNE, task="topics", **chosen))
    few, all_rows = {**KD, "fraction": 0.1}, {**KD, "fraction": 1.0}
    (result,) = judged(findings, better=few, worse=all_rows, tasks=["topics"]).results
    assert result.pairs == 2
    assert result.effect == pytest.approx(gain(findings, few, all_rows, task="topics"))


def test_a_difference_of_differences(findings: Findings) -> None:
    than = {"better": {**KD, "fraction": 1.0}, "worse": FINETUNE}
    found = judged(findings, better={**KD, "fraction": 0.1}, worse=FINETUNE, than=than, aggregate="mean")
    gains = [gain(findings, KD, FINETUNE, task="reviews", fraction=fraction) for fraction in FRACTIONS]
    gains += [gain(findings, KD, FINETUNE, task="topics", fraction=fraction) for fraction in FRACTIONS]
    (result,) = found.results
    assert result.effect == pytest.approx((gains[0] - gains[1] + gains[2] - gains[3]) / 2)
    assert (result.verdict, result.pairs) == ("confirmed", 4)


def test_a_side_that_two_differences_share_cancels(findings: Findings) -> None:
    """(kd - finetune) - (pkd - finetune) is kd - pkd, with its interval."""
    shared = judged(findings, better=KD, worse=FINETUNE, than={"better": {"method": "pkd"}, "worse": FINETUNE})
    plain = judged(findings, better=KD, worse={"method": "pkd"})
    for one, other in zip(shared.results, plain.results, strict=True):
        assert (one.effect, one.low, one.high) == pytest.approx((other.effect, other.low, other.high))


def test_numbers_other_than_scores_have_students_interval_over_seeds(findings: Findings) -> None:
    (result,) = judged(findings, better=KD, worse=FINETUNE, metric=GAP, direction="lower", tasks=["reviews"]).results
    expected = stats.ttest_1samp([-0.03, -0.04, -0.05], 0).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
    assert (result.verdict, result.covers) == ("confirmed", "seeds")


def test_less_is_claimed_of_a_loss_unless_the_claim_says_more(findings: Findings) -> None:
    claims = file(*({"better": KD, "worse": FINETUNE, "metric": GAP, **more} for more in ({}, {"direction": "higher"})))
    less, more = evaluate(findings, claims)
    assert (less.verdict, more.verdict) == ("confirmed", "refuted")
    rows = table_of(findings, claims).rows
    assert (rows[0][3].note, rows[len(less.results)][3].note) == (f"{GAP}, less is claimed", GAP)


def test_effects_below_the_minimum_do_not_count(findings: Findings) -> None:
    found = judged(findings, better=KD, worse=FINETUNE, minimum=1)
    assert found.verdict == "confirmed"
    large = 100 * found.results[0].effect + 1
    claim = judged(findings, better=KD, worse=FINETUNE, minimum=large)
    assert claim.verdict == "not enough evidence"
    assert claim.results[0].seeds_needed is None
    assert reason(claim.claim, claim.results[0]) == f"the effect is within the minimum of {large:g} points"


@pytest.mark.parametrize(
    ("claim", "missing"),
    [
        ({"better": {"method": "tmkd"}, "worse": FINETUNE}, ("method tmkd",)),
        ({"better": {**KD, "fraction": 0.01}, "worse": FINETUNE}, ("fraction 0.01",)),
        ({"better": {**KD, "augmentation": "bt"}, "worse": {**KD, "augmentation": "none"}}, ("augmentation bt",)),
        ({"better": KD, "worse": FINETUNE, "tasks": ["rte", "cola"]}, ("task rte", "task cola")),
        ({"better": KD, "worse": FINETUNE, "metric": "regret"}, ("metric regret",)),
        ({"better": KD, "worse": FINETUNE, "metric": "precision"}, ("metric precision",)),
        ({"better": {"method": "tmkd", "student": "bert"}, "worse": FINETUNE}, ("method tmkd", "student bert")),
        ({"better": KD, "worse": FINETUNE, "without": ["topics", "reviews"]}, ("task but topics, reviews",)),
    ],
)
def test_claims_without_cells_name_what_is_missing(
    findings: Findings, claim: dict[str, Any], missing: tuple[str, ...]
) -> None:
    found = judged(findings, **claim)
    assert (found.verdict, found.results, found.missing) == ("not in this grid", (), missing)


def test_tasks_that_the_grid_has_are_judged_without_the_others(findings: Findings) -> None:
    found = judged(findings, better=KD, worse=FINETUNE, tasks=["rte", "topics"])
    assert (found.verdict, found.missing, len(found.results)) == ("confirmed", ("task rte",), 1)


def test_a_claim_may_say_nothing_about_a_task(findings: Findings) -> None:
    found = judged(findings, better=KD, worse=FINETUNE, without=["reviews"])
    (result,) = found.results
    assert (result.tasks, found.missing) == (("topics",), ())


def between_students(better: str, worse: str) -> dict[str, Any]:
    """The gain of kd over finetune is larger for one student than for another."""
    than = {"better": {**KD, "student": worse}, "worse": FINETUNE}
    return {"better": {**KD, "student": better, "fraction": 1.0}, "worse": FINETUNE, "than": than}


def test_gains_of_two_students_are_compared_where_a_grid_has_both(findings: Findings) -> None:
    (result,) = judged(findings, **between_students("two", "three"), tasks=["topics"]).results
    two, three = (gain(findings, KD, FINETUNE, task="topics", student=name, fraction=1.0) for name in ("two", "three"))
    assert result.effect == pytest.approx(two - three)
    found = judged(findings, **between_students("resnet-8", "resnet-20"))
    assert (found.verdict, found.missing) == ("not in this grid", ("student resnet-8", "student resnet-20"))
    found = judged(findings, **between_students("two", "resnet-20"))
    assert (found.verdict, found.missing) == ("not in this grid", ("student resnet-20",))


def test_tasks_without_a_claims_students_are_named_where_others_have_them(findings: Findings) -> None:
    lines = [line for line in findings.lines if line.key[0] == "topics" or line.labels["student"] != "two"]
    found = judged(replace(findings, lines=lines), **between_students("two", "three"))
    assert [result.tasks for result in found.results] == [("topics",)]
    assert found.missing == ("student two on reviews",)


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    overlay = {"grid": {"seeds": [3], "tasks": ["reviews"], "students": ["three"]}}
    return find(collect(*fabricate_results(tmp_path_factory.mktemp("one"), overlay=overlay)))


def test_one_seed_has_no_interval_in_claims_and_in_the_main_table_and_both_say_so(one_seed: Findings) -> None:
    found = judged(one_seed, better=KD, worse=FINETUNE)
    (result,) = found.results
    (difference,) = one_seed.differences.values()
    assert result.effect == pytest.approx(difference.value)
    assert (result.low, result.high, result.p, difference.low, difference.p) == (None,) * 5
    assert (result.verdict, result.covers, result.seeds) == ("not enough evidence", "nothing", 1)
    assert reason(found.claim, result) == "one seed: no interval is known"
    caption = table_of(one_seed, file({"better": KD, "worse": FINETUNE})).caption
    assert "one seed, so no interval over seeds exists and none is shown" in caption


def test_one_seed_of_a_number_without_rows_has_no_interval(one_seed: Findings) -> None:
    (judgement,) = evaluate(one_seed, file({"better": KD, "worse": FINETUNE, "metric": "train_seconds", "unit": "s"}))
    (result,) = judgement.results
    assert (result.verdict, result.low, result.covers) == ("not enough evidence", None, "nothing")


def test_seeds_that_differ_between_the_sides_are_not_paired(findings: Findings) -> None:
    """Without one of finetune's seeds the effect is that of the means, and the interval is wider."""
    cut = [
        replace(line, models=line.models[:2]) if line.labels["method"] == "finetune" else line
        for line in findings.lines
    ]
    (result,) = judged(replace(findings, lines=cut), better=KD, worse=FINETUNE, tasks=["reviews"]).results
    kept = statistics.fmean(scores(findings, task="reviews", method="finetune")[:2])
    assert result.effect == pytest.approx(statistics.fmean(scores(findings, task="reviews", method="kd")) - kept)
    assert (result.seeds, result.covers) == (2, "seeds and rows")


PUBLISHED = {"task": "topics", "metric": "matthews", "split": "test server", "source": "table 2"}
ROWS = (
    {**PUBLISHED, "model": "KD-3", "method": "kd", "student": "three", "value": 61.5, "certainty": "recalled"},
    {**PUBLISHED, "model": "KD-2", "method": "kd", "student": "two", "value": None, "certainty": "unknown"},
    {**PUBLISHED, "model": "Other", "value": 70.0, "certainty": "sourced"},
    {**PUBLISHED, "model": "Big", "method": "teacher", "value": 75.0, "certainty": "second-hand"},
    {**PUBLISHED, "model": "Elsewhere", "task": "rte", "value": 1.0, "certainty": "sourced"},
)


def test_published_numbers_stand_beside_ours_with_their_certainty(findings: Findings) -> None:
    table = published_table(findings, file(published=ROWS))
    assert table is not None
    texts = {row[1].text: [row[2].text, row[4].text, row[5].text] for row in table.rows}
    line = next(line for line in findings.of("topics") if line.key[2:] == ("kd", "three", "none", 1.0))
    ours = f"{100 * statistics.fmean(line.values('validation', 'matthews')):.1f}"
    assert texts["KD-3"] == ["61.5", "recalled", ours]
    assert texts["KD-2"][:2] == ["unknown", "unknown"] and texts["KD-2"][2] != "\u2013"
    assert texts["Other"] == ["70", "sourced", "\u2013"]
    assert texts["Big"][2] != "\u2013"
    assert "Elsewhere" not in texts, "of a task that the grid does not have"
    assert "set-ups differ" in table.caption and "test server" in table.caption
    assert table.caption.endswith("3 of 4 numbers have a counterpart here.")
    assert published_table(findings, file(published=ROWS[-1:])) is None


def test_a_named_teacher_chooses_among_several(tmp_path: Path) -> None:
    """Two teachers of one task: a number of one of them stands beside its own cells, a nameless one beside both."""
    overlay = {
        "grid": {"teachers": ["big", "bigger"], "tasks": ["topics"], "students": ["three"], "seeds": [0]},
        "teachers": {"bigger": {"source": f"path:{tmp_path / 'model'}", "seed": 1}},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LAYERS, "bigger", 12)
        findings = find(collect(*fabricate_results(tmp_path, overlay=overlay)))
    kd = {**ROWS[0], "student": "three"}
    rows = [{**kd, "teacher": "bigger"}, {**kd, "teacher": "biggest"}, kd, {**ROWS[3], "teacher": "big"}]
    table = published_table(findings, file(published=tuple({**row, "metric": "accuracy"} for row in rows)))
    assert table is not None

    def ours(teacher: str, method: str) -> str:
        line = next(line for line in findings.of("topics") if line.key[1:3] == (teacher, method))
        return f"{100 * line.score:.1f}"

    both = f"{ours('big', 'kd')} \u00b7 {ours('bigger', 'kd')}"
    assert [row[-1].text for row in table.rows] == [ours("bigger", "kd"), "\u2013", both, ours("big", "teacher")]


def test_another_split_of_ours_can_be_named(findings: Findings) -> None:
    rows = [{**ROWS[0], "our_split": split} for split in ("validation_shifted", "validation_missing")]
    table = published_table(findings, file(published=tuple(rows)))
    assert table is not None
    line = next(line for line in findings.of("topics") if line.key[2:] == ("kd", "three", "none", 1.0))
    ours = f"{100 * statistics.fmean(line.values('validation_shifted', 'matthews')):.1f}"
    assert [row[-1].text for row in table.rows] == [ours, "\u2013"]


def test_both_verdicts_are_shown_and_the_corrected_one_counts_all_results(findings: Findings) -> None:
    claims = file({"better": KD, "worse": FINETUNE}, {"better": FINETUNE, "worse": KD, "minimum": 0})
    judged = evaluate(findings, claims)
    results = [result for judgement in judged for result in judgement.results]
    values = [result.p for result in results]
    assert None not in values and len(values) == 6
    smallest = min(results, key=lambda result: result.p or 0.0)
    assert smallest.adjusted == pytest.approx(min(1.0, 6 * (smallest.p or 0.0)))
    rows = claims_table(findings, claims, judged=judged).rows
    assert [row[5].text for row in rows] == [result.verdict for result in results]
    stay = [result.adjusted is not None and result.adjusted <= 0.05 for result in results]
    expected = [r.verdict if stays else "not enough evidence" for r, stays in zip(results, stay, strict=True)]
    assert [row[6].text for row in rows] == expected and any(stay)
    alone = evaluate(findings, file({"better": KD, "worse": FINETUNE, "aggregate": "mean"}))[0].results[0]
    assert alone.adjusted == alone.p


def test_a_confirmed_minimum_has_a_small_p_value_and_no_other(findings: Findings) -> None:
    (alone,) = judged(findings, better=KD, worse=FINETUNE, tasks=["reviews"]).results
    for share in (0.0, 0.3, 0.6, 0.9, 0.99, 1.0, 1.5):
        (result,) = judged(
            findings, better=KD, worse=FINETUNE, tasks=["reviews"], minimum=100 * share * alone.effect
        ).results
        assert result.p is not None
        assert (result.verdict == "confirmed") == (result.p < 0.05)
    assert result.p == 1.0, "an effect between zero and the minimum supports no verdict"


PARTS = {"better": {"better": KD, "worse": FINETUNE}, "worse": {"better": FINETUNE, "worse": KD},
         "equal": {"better": {"method": "pkd"}, "worse": FINETUNE},
         "absent": {"better": {"method": "tmkd"}, "worse": FINETUNE}}  # fmt: skip


def with_joint(*names: str) -> ClaimsFile:
    said = {"claim": "Both hold.", "source": "abstract", "certainty": "sourced"}
    made = file(*({**PARTS[name], "id": name, "aggregate": "mean"} for name in PARTS))
    return ClaimsFile.model_validate(
        made.model_dump(exclude_none=True) | {"joint": [{"id": "both", **said, "of": list(names)}]}
    )


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (("better", "equal"), "not enough evidence"),
        (("better", "worse"), "refuted"),
        (("equal", "worse"), "refuted"),
        (("better", "absent"), "not in this grid"),
        (("absent", "worse"), "refuted"),
    ],
)
def test_a_conjunction_has_one_verdict(findings: Findings, names: tuple[str, ...], verdict: str) -> None:
    claims = with_joint(*names)
    judged = evaluate(findings, claims)
    (joint,) = judge_joint(claims, judged)
    assert joint.verdict == verdict
    row = claims_table(findings, claims, judged=judged).rows[-1]
    assert (row[0].text, row[5].text) == ("both", verdict)
    assert all(f"{name}: " in row[3].note for name in names)
    (plain,) = claims_json(findings, claims, judged=judged)["joint"]
    assert (plain["verdict"], plain["corrected"], plain["of"]) == (verdict, joint.corrected, list(names))


def test_a_conjunction_is_confirmed_when_all_of_its_parts_are(findings: Findings) -> None:
    claims = with_joint("better", "worse")
    first, _, *rest = evaluate(findings, claims)
    both = [first, replace(first, claim=first.claim.model_copy(update={"id": "worse"})), *rest]
    (joint,) = judge_joint(claims, both)
    assert joint.verdict == "confirmed"
    unsure = replace(both[1], results=(replace(both[1].results[0], corrected="not enough evidence"),))
    (joint,) = judge_joint(claims, [both[0], unsure, *rest])
    assert (joint.verdict, joint.corrected) == ("confirmed", "not enough evidence")


@pytest.mark.parametrize(
    ("of", "said"),
    [(["better", "wurse"], "joint.0.of: no claim 'wurse'; .*'?worse"), (["equal", "equal"], "name each claim once")],
)
def test_a_conjunction_of_unknown_claims_is_refused(of: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_joint(*of)


def table_of(findings: Findings, claims: ClaimsFile) -> Table:
    return claims_table(findings, claims, judged=evaluate(findings, claims))


def test_plain_values_are_json_in_the_claims_unit(findings: Findings) -> None:
    claims = file({"better": KD, "worse": FINETUNE}, {"better": {"method": "tmkd"}, "worse": FINETUNE})
    values = claims_json(findings, claims, judged=evaluate(findings, claims))
    kd, tmkd = json.loads(json.dumps(values, allow_nan=False))["claims"]
    expected = 100 * gain(findings, KD, FINETUNE, task="topics")
    assert kd["results"][2]["effect"] == pytest.approx(expected)
    assert (kd["verdict"], kd["unit"], kd["results"][2]["tasks"]) == ("confirmed", "points", ["topics"])
    assert (tmkd["verdict"], tmkd["missing"], tmkd["results"]) == ("not in this grid", ["method tmkd"], [])


def test_a_report_shows_claims_in_every_format_and_nothing_without_them(tmp_path: Path) -> None:
    overlay = {"grid": {"tasks": ["topics"], "students": ["three"], "seeds": [0, 1, 2]}}
    plan, results = fabricate_results(tmp_path / "grid", overlay=overlay, skill=skill)
    claims = file({"better": KD, "worse": FINETUNE, "claim": "Soft <labels> help."})
    stated = tmp_path / "stated.claims.yaml"
    values = claims.model_dump(mode="json", exclude_none=True)
    stated.write_text(yaml.safe_dump({**values, "published": "stated.expected.csv"}))
    pd.DataFrame(ROWS).to_csv(tmp_path / "stated.expected.csv", index=False)
    settings = plan.params.report.model_copy(update={"claims": str(stated)})
    plan = replace(plan, params=plan.params.model_copy(update={"report": settings}))
    report(plan=plan, results=results, out=tmp_path / "with")
    assert "claims.json" in verified(tmp_path / "with")["files"]
    assert read_json(tmp_path / "with" / "claims.json")["claims"][0]["verdict"] == "confirmed"
    page = (tmp_path / "with" / "report.html").read_text()
    assert "Soft &lt;labels&gt; help." in page and 'class="better">confirmed' in page
    assert "Claims of A paper (2021)" in (tmp_path / "with" / "table.md").read_text()
    assert "Published numbers" in (tmp_path / "with" / "table.tex").read_text()
    plain = render(find(collect(plan, results)))
    assert "Claims of" not in plain and '"claims"' not in plain
    head, _, rest = page.partition('<section class="claims">')
    assert head + rest.partition("</section>\n\n")[2] == plain, "a claims section is all that claims add"


def test_rows_fit_their_headers_in_markdown_and_latex(findings: Findings) -> None:
    claims = file({"better": KD, "worse": FINETUNE, "tasks": ["topics", "rte"]}, published=ROWS)
    tables = claims_tables(findings, claims, judged=evaluate(findings, claims))
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "61.5 (Matthews correlation, test server)" in markdown(tables)
    assert latex(tables).count(r"\begin{table}") == 2


def test_a_number_other_than_the_score_is_named_in_its_own_unit(findings: Findings) -> None:
    sides = {"better": KD, "worse": FINETUNE}
    claims = file({**sides, "metric": GAP, "direction": "lower"}, {**sides, "metric": "layers", "unit": "layers"})
    rows = table_of(findings, claims).rows
    assert rows[0][3].note == "generalisation_gap, less is claimed"
    assert rows[0][4].text == "\u22124.0" and rows[0][5].tone == "better"
    assert (rows[3][3].note, rows[3][4].text) == ("layers", "+0 layers")


def test_an_effect_within_the_margin_of_its_claim_is_negligible(findings: Findings) -> None:
    """pkd is as good as finetune."""
    sides = {"better": {"method": "pkd"}, "worse": FINETUNE}
    assert judged(findings, **sides).verdict == "not enough evidence"
    wide = judged(findings, **sides, margin=50.0)
    assert wide.verdict == "negligible" and reason(wide.claim, wide.results[0]) == ""
    assert judged(findings, better=KD, worse=FINETUNE, margin=50.0).verdict == "confirmed"


def test_a_negligible_effect_stays_so_after_the_correction(findings: Findings) -> None:
    """Its p-value is that of the margin: twice the larger of two one-sided t tests (Schuirmann 1987)."""
    sides = {"better": KD, "worse": {"method": "pkd"}, "metric": "train_loss", "tasks": ["reviews"], "margin": 5.0}
    for model in findings.collected.models:
        sign = {"kd": 1, "pkd": -1}.get(model.artefact.labels["method"], 0)
        model.metrics["train_loss"] = 0.3 + 0.001 * sign * (model.seed - 1)
    (result,) = judged(findings, **sides).results
    tests = (("greater", -0.05), ("less", 0.05))
    larger = max(stats.ttest_1samp([0.002, 0.0, -0.002], end, alternative=side).pvalue for side, end in tests)
    assert result.p == pytest.approx(2 * larger)
    assert (result.verdict, result.corrected) == ("negligible", "negligible")


def test_reasons_tell_what_would_help(findings: Findings) -> None:
    claim = file({"better": KD, "worse": FINETUNE}).claims[0]
    found = EffectEstimate(0.01, None, ())
    open_result = Result(("a",), found, "not enough evidence", 0.01, -0.01, 0.03, "seeds and rows", 3, 1, 7, False)
    assert reason(claim, open_result) == "about 7 seeds needed if the effect stays as it is"
    assert reason(claim, replace(open_result, seeds_needed=4000)).startswith("over 1,000 seeds")
    too_few = replace(open_result, seeds_needed=None, rows_too_few=True)
    assert reason(claim, too_few).startswith("too few validation rows")
    assert reason(claim, replace(open_result, verdict="confirmed", seeds_needed=None)) == ""
