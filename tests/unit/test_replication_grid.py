"""Adaptive replication on fabricated grids: which cells get more seeds, and what reports say of it."""

import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tests.unit.command_line import Run
from tests.unit.fabricate import fabricate_results
from tests.unit.made import report
from tests.unit.test_claims_measured import searched

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.project import packaged, read_yaml
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import Params, parse_params
from distilgrid.plan.settings import Decide
from distilgrid.reporting.claims.file import load_claims
from distilgrid.reporting.claims.papers import paper_tables, papers
from distilgrid.reporting.claims.schema import ClaimsFile
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import find
from distilgrid.reporting.replication.looks import decide
from distilgrid.reporting.replication.requests import request
from distilgrid.reporting.replication.tables import decisions_json
from distilgrid.workflow.decide import Round, rounds, snakemake, summary

CLAIMS = {
    "paper": {"title": "A paper", "year": 2021, "url": "https://example.org"},
    "claims": [
        {"id": "clear", "better": {"method": "kd"}, "worse": {"method": "finetune"}},
        {"id": "unclear", "better": {"method": "pkd"}, "worse": {"method": "finetune"}, "tasks": ["reviews"]},
        {"id": "elsewhere", "better": {"method": "tmkd"}, "worse": {"method": "finetune"}},
    ],
    "joint": [{"id": "both", "of": ["clear", "unclear"]}, {"id": "apart", "of": ["clear", "elsewhere"]}],
}
GRID = {"methods": ["finetune", "kd", "pkd"], "students": ["two"], "seeds": [0, 1, 2]}
NOISE = {0: 0.0, 1: 0.15, 2: -0.2, 3: 0.1, 4: -0.1, 5: 0.05, 6: -0.15, 7: 0.2, 8: 0.0}


def skill(labels: Mapping[str, Any]) -> float:
    """kd is far above finetune; pkd is now better and now worse."""
    if labels["method"] == "teacher":
        return 1.6
    return 0.4 + {"kd": 0.9, "pkd": 0.02 + NOISE[labels["seed"]]}.get(labels["method"], 0.0)


def fabricated(folder: Path, *, replications: Any = (), **decide: Any) -> tuple[Plan, Path]:
    said = {"claim": "It is so.", "source": "table 1", "certainty": "recalled"}
    values = {**CLAIMS, "claims": [{**said, **claim} for claim in CLAIMS["claims"]]}  # type: ignore[arg-type]
    values["joint"] = [{**said, **joint} for joint in CLAIMS["joint"]]  # type: ignore[arg-type]
    folder.mkdir(exist_ok=True)
    (folder / "claims.yaml").write_text(yaml.safe_dump(values))
    settings = {"claims": str(folder / "claims.yaml"), "decide": {"max_seeds": 9, "margin": None, **decide}}
    overlay = {"grid": {**GRID, "replications": list(replications)}, "report": settings}
    return fabricate_results(folder, overlay=overlay, skill=skill)


def decided(made: tuple[Plan, Path]) -> dict[str, Any]:
    findings, settings = find(collect(*made)), made[0].params.report
    assert settings.decide and settings.claims
    file = load_claims(settings.claims)
    found = request(findings, decide(findings, file, settings.decide), settings.decide)
    return decisions_json(file, found)


@pytest.mark.chain
def test_only_the_cells_of_undecided_claims_get_seeds(tmp_path: Path) -> None:
    made = fabricated(tmp_path / "a")
    report(plan=made[0], results=made[1], out=tmp_path / "report")
    found = read_json(tmp_path / "report/claims.json")["decided"]
    clear, unclear, elsewhere = found["decisions"]
    assert (clear["verdict"], clear["wanted"]) == ("confirmed", None)
    assert (unclear["verdict"], unclear["wanted"]) == ("not enough evidence", 6)
    assert elsewhere["wanted"] is None and "tmkd" in elsewhere["stopped"]
    assert elsewhere["verdict"] == elsewhere["corrected"] == "not in this grid"
    assert [(each["task"], each["method"], each["seeds"]) for each in found["replications"]] == [
        ("reviews", "finetune", [3, 4, 5]),
        ("reviews", "pkd", [3, 4, 5]),
    ]
    assert found["joint"] == [
        {"id": "both", "verdict": "not enough evidence", "corrected": "not enough evidence"},
        {"id": "apart", "verdict": "not in this grid", "corrected": "not in this grid"},
    ]
    page = (tmp_path / "report/report.html").read_text()
    assert "Claims, decided by more seeds" in page and "to be run" in page


@pytest.mark.chain
def test_a_report_says_within_what_an_effect_is_negligible(tmp_path: Path) -> None:
    """The margin may be the claim's own or the grid's."""
    plan, results = fabricated(tmp_path / "a", claims=["unclear"], margin=90.0)
    report(plan=plan, results=results, out=tmp_path / "report")
    (decision,) = read_json(tmp_path / "report/claims.json")["decided"]["decisions"]
    assert (decision["verdict"], decision["margin"]) == ("negligible", 90.0)
    assert "negligible (within \u00b1 90 points)" in (tmp_path / "report/table.md").read_text(encoding="utf-8")


@pytest.mark.chain
def test_rounds_go_on_from_looks_that_stay_as_they_were(tmp_path: Path) -> None:
    """Until no claim asks for seeds; the last round has the looks of all rounds before it."""
    replications: list[Any] = []
    courses: list[list[Any]] = []
    for number in range(6):
        folder = tmp_path / str(number)
        found = decided(fabricated(folder, replications=replications))
        courses.append(found["decisions"][1]["looks"])
        replications = found["replications"]
        if all(decision["wanted"] is None for decision in found["decisions"]):
            break
    assert 1 < len(courses) < 6
    for before, after in itertools.pairwise(courses):
        assert after[: len(before)] == before
    assert courses[-1][-1]["seeds"] == 9
    assert found["decisions"][1]["stopped"] == "report.decide.max_seeds is reached"
    assert found["hours"] > 0


def test_seeds_that_the_user_added_elsewhere_stay(tmp_path: Path) -> None:
    own = {"task": "topics", "teacher": "big", "method": "kd", "student": "two", "seeds": [3, 4]}
    found = decided(fabricated(tmp_path / "a", replications=[own], claims=["unclear"]))
    assert [(each["task"], each["method"], each["seeds"]) for each in found["replications"]] == [
        ("topics", "kd", [3, 4]),
        ("reviews", "finetune", [3, 4, 5]),
        ("reviews", "pkd", [3, 4, 5]),
    ]


@pytest.mark.parametrize("listed", [True, False])
def test_only_searches_that_the_grid_compares_get_seeds(tmp_path: Path, listed: bool) -> None:
    """One that found a student's shape is known, too, but the grid wants no other seed of it."""
    plan, results = fabricated(tmp_path / "a")
    sides = {"better": {"search": "kd-nas"}, "worse": {"search": "random"}, "tasks": ["topics"]}
    claim = {**CLAIMS["claims"][0], **sides, "metric": "best_reward", "claim": "So.", "source": "1"}  # type: ignore[index]
    file = ClaimsFile.model_validate({"paper": CLAIMS["paper"], "claims": [{**claim, "certainty": "recalled"}]})
    rewards = {"kd-nas": [0.90, 0.94, 0.85], "random": [0.88, 0.89, 0.93]}
    plan.params.searches.update({name: SimpleNamespace(seeds=[0, 1, 2]) for name in rewards})  # type: ignore[misc]
    plan.params.grid.searches.extend(rewards if listed else ["kd-nas"])
    runs = [searched(name, seed, reward) for name, each in rewards.items() for seed, reward in enumerate(each)]
    (found,) = decide(find(replace(collect(plan, results), searches=runs)), file, Decide(max_seeds=9))
    assert (found.wanted, found.stopped) == ((6, "") if listed else (None, "grid.searches does not list random"))


def test_hours_that_are_spent_stop_a_claim(tmp_path: Path) -> None:
    found = decided(fabricated(tmp_path / "a", max_hours=1e-9))
    assert found["replications"] == []
    assert found["decisions"][1]["stopped"] == "report.decide.max_hours is spent"


def test_a_joint_claim_stands_for_its_parts(tmp_path: Path) -> None:
    found = decided(fabricated(tmp_path / "a", claims=["both"]))
    assert [decision["id"] for decision in found["decisions"]] == ["clear", "unclear"]


def test_an_unknown_claim_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report.decide.claims: .*claims.yaml has no claim 'cleer'; did you mean"):
        fabricated(tmp_path / "a", claims=["cleer"])


# Plans ----------------------------------------------------------------------------------------------------------------


def params(tmp_path: Path, *replications: Mapping[str, Any], **grid: Any) -> Params:
    plan, _ = fabricate_results(tmp_path)
    values = plan.params.model_dump()
    overlay = {"grid": {**GRID, **grid, "replications": list(replications)}}
    return parse_params(deep_merge(values, overlay), origin="here")


KD = {"task": "reviews", "teacher": "big", "method": "kd", "student": "two"}


def test_a_replication_adds_its_cells_alone(tmp_path: Path) -> None:
    before, after = (expand(params(tmp_path / n, *more)) for n, more in (("a", []), ("b", [{**KD, "seeds": [7, 9]}])))
    known = {student.folder for student in before.students}
    added = [student for student in after.students if student.folder not in known]
    assert [(each.labels["task"], each.labels["method"], each.labels["seed"]) for each in added] == [
        ("reviews", "kd", 7),
        ("reviews", "kd", 9),
    ]
    assert {each.folder for each in after.of("export")} == {each.folder for each in before.of("export")}


def test_every_cell_is_exported_where_the_grid_says_so(tmp_path: Path) -> None:
    plan, _ = fabricate_results(tmp_path)
    values = deep_merge(plan.params.model_dump(), {"grid": {**GRID, "replications": [{**KD, "seeds": [7, 9]}]}})
    planned = expand(parse_params({**values, "export": {**values["export"], "seeds": "all"}}, origin="here"))
    exported = {export.inputs["model"].labels.get("seed") for export in planned.of("export")}  # type: ignore[union-attr]
    assert exported == {0, 1, 2, 7, 9}


@pytest.mark.parametrize(
    ("replication", "said"),
    [
        ({**KD, "task": "topic", "seeds": [7]}, r"grid.replications.0: the grid has no cell with task topic"),
        ({**KD, "seeds": [1, 7]}, r"grid.replications.0.seeds: grid.seeds has 1, too"),
        ({**KD, "method": None, "seeds": [7]}, "give a method and a student, or else a search"),
        ({"task": "reviews", "teacher": "big", "search": "nas", "seeds": [7]}, "the grid compares no search 'nas'"),
    ],
)
def test_a_replication_of_nothing_is_refused(tmp_path: Path, replication: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        expand(params(tmp_path, replication))


def test_a_seed_is_added_once(tmp_path: Path) -> None:
    """Twice, it would count as two seeds in every interval."""
    twice = ({**KD, "seeds": [7, 9]}, {**KD, "student": "two", "seeds": [8, 9]})
    with pytest.raises(UserError, match=r"grid.replications.1.seeds: grid.replications.0.seeds has 9, too"):
        expand(params(tmp_path, *twice))


# Rounds ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A workflow that fabricates what Snakemake would make; the targets of its calls."""
    calls: list[tuple[str, ...]] = []

    def made(files: Sequence[Path], targets: Sequence[str], *, options: Sequence[str]) -> None:
        assert list(options) == ["--cores", "2"]
        calls.append(tuple(targets))
        added = read_yaml(files[-1]).get("grid", {}).get("replications", [])
        plan, results = fabricated(tmp_path / f"call-{len(calls)}", replications=added)
        if targets:
            report(plan=plan, results=results, out=tmp_path / "results" / plan.report.folder)

    monkeypatch.setattr("distilgrid.workflow.decide.snakemake", made)
    return calls


@pytest.mark.chain
def test_rounds_end_when_no_claim_asks_and_then_all_is_made(tmp_path: Path, workflow: list[tuple[str, ...]]) -> None:
    plan, _ = fabricated(tmp_path / "own")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(plan.params.model_dump(mode="json")))
    found = list(rounds([tmp_path / "params.yaml"], [], results=tmp_path / "results", options=["--cores", "2"]))
    assert [each.last for each in found] == [False] * (len(found) - 1) + [True]
    assert workflow == [("report",)] * len(found) + [()]
    last = "\n".join(summary(found[-1]))
    assert "clear: confirmed; +" in last
    assert "unclear: not enough evidence, stopped: report.decide.max_seeds is reached" in last
    assert "after 9 seeds" in last
    overlay = read_yaml(found[-1].overlay)
    assert overlay["grid"]["replications"] == found[-2].decided["replications"]
    (paper,) = papers(tmp_path / "results")
    shown = {row[0].text: row[2] for row in paper_tables(paper)[0].rows}
    assert shown["clear"].text == "confirmed" and "1 look, n=3" in shown["clear"].note
    assert shown["unclear"].text == "not enough evidence" and "3 looks, n=9" in shown["unclear"].note


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--cores", 2], ["--cores", "2"]),
        (["--", "--jobs", "50"], ["--jobs", "50"]),
        (["--cores", 2, "--", "--dry-run"], ["--cores", "2", "--dry-run"]),
    ],
)
def test_snakemake_gets_the_cores_and_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, words: list[Any], given: list[str]
) -> None:
    """A dry run makes no report, so that nothing tells a second round."""
    calls: list[list[str]] = []
    monkeypatch.setattr("distilgrid.workflow.decide.snakemake", lambda *_, options: calls.append(list(options)))
    plan, _ = fabricated(tmp_path / "own")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(plan.params.model_dump(mode="json")))
    monkeypatch.chdir(tmp_path)
    code, _, errors = run("decide", *words)
    assert calls == [given]
    assert code == 2 and "made no results/reports/" in errors and "as in a dry run" in errors


def test_a_grid_of_the_package_reaches_snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of `distilgrid init` has no folder `grids`."""
    calls: list[list[str]] = []
    done = SimpleNamespace(wait=lambda: 0)
    monkeypatch.setattr("subprocess.Popen", lambda command: calls.append(command) or done)  # type: ignore[func-returns-value]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("report: {}")
    (tmp_path / "comments.yaml").write_text("# Snakemake would refuse this file\n")
    files = [Path("params.yaml"), Path("comments.yaml"), Path("grids/glue_mini.yaml")]
    snakemake(files, ["report"], options=["--cores", "2"])
    (command,) = calls
    assert command[3:6] == ["--cores", "2", "--configfile"]
    assert command[6:] == ["params.yaml", str(packaged("grids/glue_mini.yaml")), "--", "report"]


def test_a_second_call_for_the_same_grid_is_refused(tmp_path: Path, workflow: list[tuple[str, ...]]) -> None:
    plan, _ = fabricated(tmp_path / "own")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(plan.params.model_dump(mode="json")))

    def call() -> Iterator[Round]:
        return rounds([tmp_path / "params.yaml"], [], results=tmp_path / "results", options=["--cores", "2"])

    first = call()
    next(first)
    with pytest.raises(UserError, match="another call decides 'fabricated' in this folder"):
        next(call())
    assert not (tmp_path / "results/decisions/fabricated.yaml").exists()  # it is published when it is whole
    first.close()
    assert next(call()).number == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_with_its_own_code_after_snakemake(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """Python stands for Snakemake, and this test for a terminal."""
    script = f"import os, signal, time; os.kill(os.getppid(), {int(number)}); time.sleep(0.5)"
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command: real([sys.executable, "-c", script]))
    with pytest.raises(SystemExit) as ended:
        snakemake([], ["report"], options=[])
    assert ended.value.code == code
