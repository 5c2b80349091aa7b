"""Claims files: what they may say, readable complaints, and the files that are shipped."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from distilgrid.core.errors import UserError
from distilgrid.plan.params import Params, load_params
from distilgrid.reporting.claims.file import load_claims
from distilgrid.reporting.claims.schema import ClaimsFile

ROOT = Path(__file__).parents[2]
Values = dict[str, Any]


@pytest.fixture
def values() -> Values:
    pair = {"better": {"method": "kd", "fraction": 0.1}, "worse": {"method": "finetune"}}
    than = {"better": {"method": "kd", "fraction": 1.0}, "worse": {"method": "finetune"}}
    known = {"source": "table 1", "certainty": "sourced"}
    return {
        "paper": {"title": "A paper", "year": 2021, "url": "https://example.org"},
        "claims": [{"id": "gain", "claim": "It helps.", **known, **pair, "than": than, "tasks": "all"}],
    }


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params([ROOT / "params.yaml"])


def written(values: Values, folder: Path) -> Path:
    path = folder / "mine.claims.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def complaint(values: Values, folder: Path, params: Params | None = None) -> str:
    path = written(values, folder)
    with pytest.raises(UserError) as caught:
        load_claims(path, params=params)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_an_axis_that_one_side_gives_holds_for_the_others(values: Values, tmp_path: Path, params: Params) -> None:
    (claim,) = load_claims(written(values, tmp_path), params=params).claims
    assert claim.sides() == [
        (1, {"method": "kd", "fraction": 0.1}),
        (-1, {"method": "finetune", "fraction": 0.1}),
        (-1, {"method": "kd", "fraction": 1.0}),
        (1, {"method": "finetune", "fraction": 1.0}),
    ]
    assert claim.tasks is None


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("papr",), 1, "papr: unknown key; did you mean 'paper'?"),
        (("claims", 0, "clam"), 1, "claims.0.clam: unknown key; did you mean 'claim'?"),
        (("claims", 0, "better", "metod"), "kd", "claims.0.better.metod: unknown key; did you mean 'method'?"),
        (("claims", 0, "than", "bettr"), {}, "claims.0.than.bettr: unknown key; did you mean 'better'?"),
        (("publishd",), "a.csv", "publishd: unknown key; did you mean 'published'?"),
        (("claims", 0, "certainty"), "sure", "claims.0.certainty: "),
        (("claims", 0, "tasks"), [], "claims.0.tasks: must be all, or a list"),
        (("claims", 0, "tasks"), ["rte", "rte"], "claims.0.tasks: must be all, or a list"),
        (("claims", 0, "tasks"), "sst2", "claims.0.tasks: must be all, or a list"),
        (("claims", 0, "minimum"), -1, "claims.0.minimum: "),
        (("claims", 0, "worse", "method"), "kd", "claims.0: better and worse are the same cells"),
        (("claims", 0, "than", "worse", "method"), "kd", "claims.0: than: better and worse are the same cells"),
        (("claims", 0, "than", "better", "fraction"), 0.1, "claims.0: than is the same difference"),
        (("claims", 0, "without"), "rte", "claims.0.without: "),
        (("methods",), ["takd"], "methods: "),
        (
            ("published",),
            [{"model": "A"}],
            "published: must name a CSV file in the same folder, such as mine.expected.csv",
        ),
        (("published",), None, "published: must name a CSV file"),
        (("published",), "", "published: must name a CSV file"),
        (("published",), "numbers/mine.csv", "published: must name a CSV file in the same folder"),
    ],
)
def test_a_bad_file_gets_one_line_that_names_the_key(
    values: Values, tmp_path: Path, place: tuple[Any, ...], value: object, expected: str
) -> None:
    node: Any = values
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = value
    assert complaint(values, tmp_path).startswith(expected)


def test_two_claims_need_two_names(values: Values, tmp_path: Path) -> None:
    values["claims"].append(copy.deepcopy(values["claims"][0]))
    assert complaint(values, tmp_path) == "claims: two claims have the id 'gain'; rename one"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.claims\.yaml: cannot be read"):
        load_claims(tmp_path / "none.claims.yaml")


def test_names_that_nothing_defines_are_refused(values: Values, tmp_path: Path, params: Params) -> None:
    wrong = copy.deepcopy(values)
    wrong["claims"][0]["than"]["worse"]["method"] = "finetuned"
    expected = "claims.0.than.worse.method: unknown method 'finetuned'; did you mean 'finetune'?"
    assert complaint(wrong, tmp_path, params) == expected
    assert load_claims(written(wrong, tmp_path)).claims, "without parameters, nothing can be said about names"
    wrong = copy.deepcopy(values)
    wrong["claims"][0]["tasks"] = ["sst3"]
    assert complaint(wrong, tmp_path, params) == "claims.0.tasks: unknown task 'sst3'; did you mean 'sst2'?"
    wrong = copy.deepcopy(values)
    wrong["claims"][0]["without"] = ["sst3"]
    assert complaint(wrong, tmp_path, params) == "claims.0.without: unknown task 'sst3'; did you mean 'sst2'?"


def test_a_paper_may_name_methods_that_its_grids_define_for_themselves(
    values: Values, tmp_path: Path, params: Params
) -> None:
    values["claims"][0]["worse"] = {"method": "takd"}
    assert complaint(values, tmp_path, params).startswith("claims.0.worse.method: unknown method 'takd'")
    values["methods"] = {"takd": "with an assistant"}
    assert load_claims(written(values, tmp_path), params=params).claims


def test_tasks_are_left_out_of_all_tasks_only(values: Values, tmp_path: Path) -> None:
    values["claims"][0] |= {"tasks": ["rte", "cola"], "without": ["rte"]}
    assert complaint(values, tmp_path).startswith("claims.0: without goes with tasks: all")


SHIPPED = sorted((ROOT / "grids").glob("*.claims.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_files_are_valid(path: Path, params: Params) -> None:
    found = load_claims(path, params=params)
    assert found.claims
    for row in found.published:
        assert row.method is None or row.method == "teacher" or row.student is not None


def test_each_shipped_table_of_numbers_belongs_to_a_claims_file() -> None:
    named = {yaml.safe_load(path.read_text()).get("published") for path in SHIPPED}
    assert {path.name for path in (ROOT / "grids").glob("*.expected.csv")} == named - {None}


def test_mixkd_says_what_is_not_known() -> None:
    found: ClaimsFile = load_claims(ROOT / "grids" / "mixkd.claims.yaml")
    own = [row for row in found.published if row.model.startswith("MixKD")]
    assert {row.value for row in own} == {None}
    assert {claim.metric for claim in found.claims if claim.direction == "lower"} == {"generalisation_gap"}


def test_annealing_kd_has_two_tracks_on_glue_told_apart_by_their_teachers() -> None:
    found = load_claims(ROOT / "grids" / "annealing_kd.claims.yaml")
    dev = [row for row in found.published if row.split == "GLUE dev"]
    assert {row.certainty for row in found.published} == {"second-hand"}
    assert {(row.teacher, row.student) for row in dev if row.method != "teacher"} == {
        ("roberta-large", "distilroberta"),
        ("bert-large", "bert-small"),
    }


@pytest.mark.parametrize(
    ("student", "method", "score"),
    [
        (None, "teacher", {"roberta-large": 88.91, "bert-large": 85.15}),
        ("distilroberta", "finetune", {"roberta-large": 82.81}),
        ("distilroberta", "kd", {"roberta-large": 83.85}),
        ("distilroberta", "takd", {"roberta-large": 83.91}),
        ("distilroberta", "annealing-kd", {"roberta-large": 84.56}),
        ("distilroberta", "continuation-kd", {"roberta-large": 85.64}),
        ("bert-small", "finetune", {"bert-large": 77.44}),
        ("bert-small", "kd", {"bert-large": 77.65}),
        ("bert-small", "takd", {"bert-large": 77.55}),
        ("bert-small", "annealing-kd", {"bert-large": 78.13}),
        ("bert-small", "continuation-kd", {"bert-large": 78.95}),
    ],
)
def test_annealing_kds_numbers_have_the_printed_means(
    student: str | None, method: str, score: dict[str, float]
) -> None:
    """The source prints the mean over eight tasks, which the file leaves out; it catches a mistyped number."""
    found = load_claims(ROOT / "grids" / "annealing_kd.claims.yaml")
    for teacher, printed in score.items():
        values = {
            row.task: row.value
            for row in found.published
            if (row.split, row.method, row.student, row.teacher) == ("GLUE dev", method, student, teacher)
        }
        assert len(values) == 8
        assert sum(value or 0 for value in values.values()) / 8 == pytest.approx(printed, abs=0.011)
