"""Plans with annealed methods, chains of assistants, tuning, and image tasks beside text tasks."""

from pathlib import Path
from typing import Any

import pytest

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact, listed
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import find_method, load_params, parse_params
from distilgrid.reporting.claims.file import load_claims
from distilgrid.search.estimators.settings import MiniKDSettings
from distilgrid.training.settings import Training

Values = dict[str, Any]
ROOT = Path(__file__).parents[2]
IMAGES: Values = {
    "grid": {
        "tasks": ["digits"],
        "teachers": ["resnet-14"],
        "methods": ["finetune", "kd", "annealing-kd"],
        "baselines": [],
        "students": ["resnet-8"],
        "seeds": [0, 1],
    },
    "teachers": {"resnet-14": {"source": "new:resnet-14"}},
    "students": {"resnet-8": {"source": "new:resnet-8"}},
    "methods": {"annealing-kd": {"tau_max": 2, "stage1": {"epochs": 4}, "stage2": {"epochs": 2}}},
    "training": {"epochs": 3, "views": {"shift": 1}},
}


def plan(values: Values, **grid: Any) -> Plan:
    return expand(parse_params(deep_merge(values, {"grid": grid}), origin="test"))


def refused(values: Values, **grid: Any) -> str:
    with pytest.raises(UserError) as caught:
        plan(values, **grid)
    return str(caught.value)


def one(found: Plan, **labels: Any) -> Artefact:
    return next(s for s in found.students if labels.items() <= s.labels.items())


def source(artefact: Artefact, option: str) -> Artefact:
    (found,) = listed(artefact.inputs[option])
    return found


@pytest.fixture
def values(tiny_values: Values) -> Values:
    chain = {"takd": {"objective": "takd", "assistants": ["three", "half"]}}
    students = {"three": {"layers": 3}, "quarter": {"layers": 1}}
    grid = {"methods": ["takd"], "baselines": [], "students": ["quarter"]}
    return deep_merge(tiny_values, {"grid": grid, "students": students, "methods": chain})


def test_each_link_of_a_chain_learns_from_the_one_before(values: Values) -> None:
    found = plan(values)
    link, names = one(found, seed=1), []
    while "teacher-outputs" in link.inputs:
        names.append(link.labels["student"])
        link = source(source(link, "teacher-outputs"), "teacher-dir")
    assert names == ["quarter", "half", "three"]
    assert link.stage == "finetune"


def test_all_seeds_share_one_chain(values: Values) -> None:
    found = plan(values, seeds=[0, 1, 2])
    assert [helper.labels["student"] for helper in found.helpers] == ["three", "half"]
    assert {helper.labels["seed"] for helper in found.helpers} == {0}
    assert len(found.of("record")) == 3
    assert len({source(student, "teacher-outputs").folder for student in found.students}) == 1


def test_artefacts_come_after_what_they_are_made_from(values: Values) -> None:
    found = list(plan(values).artefacts.values())
    places = {artefact.folder: number for number, artefact in enumerate(found)}
    assert all(places[i.folder] < places[a.folder] for a in found for i in a.each_input())
    assert sum(a.stage == "distill" for a in found) == 4, "two seeds and two assistants"


def test_another_chain_is_another_result_for_the_student(values: Values) -> None:
    shorter = deep_merge(values, {"methods": {"takd": {"objective": "takd", "assistants": ["half"]}}})
    assert one(plan(values)).key != one(plan(shorter)).key


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grid": {"students": ["half"]}}, "loops: student 'half' would be its own assistant"),
        ({"methods": {"takd": {"assistants": ["half", "half"]}}}, "methods.takd.assistants: the chain loops"),
        ({"methods": {"takd": {"assistants": ["hlaf"]}}}, "unknown student 'hlaf'; did you mean 'half'"),
        ({"methods": {"takd": {"assistants": []}}}, "methods.takd.assistants"),
        (
            {"methods": {"takd": {"teacher": "live"}}, "students": {"half": {"layers": 2, "init": "finetuned"}}},
            "record it",
        ),
    ],
)
def test_chains_that_cannot_be(values: Values, changed: Values, said: str) -> None:
    message = refused(deep_merge(values, changed))
    assert said in message.replace("methods.takd.takd.", "methods.takd.")
    assert "\n" not in message


def test_tuning_tries_all_pairs_once_for_all_seeds(tiny_values: Values) -> None:
    tuning = {"kd": {"objective": "kd", "tuning": {"alpha": [0.3, 0.9], "temperature": [1, 2.5, 4], "seed": 7}}}
    values = deep_merge(tiny_values, {"grid": {"methods": ["kd"]}, "methods": tuning})
    found = plan(values, seeds=[0, 1, 2])
    assert len(found.students) == 3
    assert len(found.helpers) == 6
    assert {helper.labels["seed"] for helper in found.helpers} == {7}
    assert [c.folder for c in listed(found.students[2].inputs["tried"])] == [h.folder for h in found.helpers]
    names = [helper.labels["method"] for helper in found.helpers]
    assert names[:2] == ["kd.alpha-0.3.t-1", "kd.alpha-0.3.t-2.5"]
    tried = find_method(found.params, "kd.alpha-0.9.t-4")
    assert (tried.alpha, tried.temperature, tried.tuning) == (0.9, 4, None)  # type: ignore[union-attr]
    assert len(found.of("record")) == 1


def test_more_temperatures_than_epochs_are_refused_before_anything_runs(tiny_values: Values) -> None:
    short = {"methods": {"annealing-kd": {"tau_max": 5, "stage1": {"epochs": 3}}}}
    message = refused(deep_merge(tiny_values, short), methods=["annealing-kd"])
    assert message == "annealing_kd, stage1: tau_max 5 is larger than its 3 epoch(s); lower it or raise epochs"


def test_a_regression_tries_no_temperature_twice(tiny_values: Values) -> None:
    tried = {"objective": "kd", "tuning": {"alpha": [0.3, 0.9], "temperature": [2, 4]}}
    mse = {"methods": {"kd": {**tried, "loss": "mse"}}, "grid": {"methods": ["kd"]}}
    regression = {"tasks": {"reviews": {"kind": "number", "metrics": ["pearson"], "labels": None}}}
    both = deep_merge(tiny_values, {"methods": {"kd": tried}, "grid": {"methods": ["kd"]}})
    assert len(plan(both).helpers) == 4
    for values in (deep_merge(both, regression), deep_merge(both, mse)):
        names = [helper.labels["method"] for helper in plan(values).helpers]
        assert names == ["kd.alpha-0.3.t-2", "kd.alpha-0.9.t-2"], "T changes nothing in a mean squared error"


def test_values_that_are_nearly_equal_are_tried_each_by_itself(tiny_values: Values) -> None:
    near = {"kd": {"objective": "kd", "tuning": {"alpha": [0.5, 0.50000001], "temperature": [1e-5, 2]}}}
    found = plan(deep_merge(tiny_values, {"grid": {"methods": ["kd"]}, "methods": near}))
    names = [helper.labels["method"] for helper in found.helpers]
    assert names[1:3] == ["kd.alpha-0.5.t-2", "kd.alpha-0.50000001.t-1e-05"] and len(set(names)) == 4
    assert find_method(found.params, names[3]).alpha == 0.50000001  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changed", "epochs", "said"),
    [
        ({"tau_max": 5}, 3, "continuation_kd: tau_max 5 is larger than its 3 epoch(s); lower it or raise epochs"),
        (
            {"tau_max": 2, "psi": "step", "annealing": 0.9},
            3,
            "continuation_kd: psi: step leaves no epoch for the hard labels (annealing 0.9 of 3 epoch(s)); "
            "lower annealing or raise epochs",
        ),
    ],
)
def test_a_continuation_that_cannot_be_is_refused_before_anything_runs(
    tiny_values: Values, changed: Values, epochs: int, said: str
) -> None:
    method = {"continuation-kd": {**changed, "training": {"epochs": epochs}}}
    values = deep_merge(tiny_values, {"methods": method})
    assert refused(values, methods=["continuation-kd"]) == said
    longer = deep_merge(values, {"methods": {"continuation-kd": {"training": {"epochs": 10}}}})
    assert plan(longer, methods=["continuation-kd"]).students


@pytest.mark.parametrize("axis", ["methods", "baselines"])
def test_a_chain_without_assistants_is_told_how_to_name_them(tiny_values: Values, axis: str) -> None:
    said = "unknown method 'takd'; it has no preset, as its assistants must be named: methods: {takd: {objective: takd,"
    assert said in refused(tiny_values, **{axis: ["takd"]})


def test_part_of_a_nested_setting_leaves_the_rest(tiny_values: Values) -> None:
    values = deep_merge(IMAGES, {"training": {"views": {"shift": 4, "flip": True, "seed": 3}}})
    own = {"training": {"views": {"shift": 2}}}
    found = one(plan(deep_merge(values, {"methods": {"kd": own}})), method="kd")
    expected = {"shift": 2, "flip": True, "seed": 3}
    assert found.recipe["training"]["views"] == expected
    common = Training.model_validate(values["training"])
    assert MiniKDSettings.model_validate(own).trained(common).views.model_dump() == expected


def test_an_assistant_is_recorded_on_the_rows_of_its_students(values: Values) -> None:
    found = plan(values, fractions=[0.1, 0.5])
    recorded = [(source(each, "teacher-dir").stage, each.recipe["fraction"]) for each in found.of("record")]
    assert sorted(recorded) == [("distill", 0.1)] * 2 + [("distill", 0.5)] * 2 + [("finetune", 0.5)]


def test_all_methods_share_the_views_of_the_longest() -> None:
    found = plan(IMAGES)
    (recording,) = found.of("record")
    assert recording.recipe["epochs"] == 4, "stage I of annealing-kd has four, kd three"
    assert recording.options["method"] == "annealing-kd"
    taught = [s for s in found.students if s.labels["method"] != "finetune"]
    assert all(source(s, "teacher-outputs") is recording for s in taught)


def test_epochs_of_a_live_method_are_not_recorded() -> None:
    live = {"annealing-kd": {"teacher": "live"}}
    (recording,) = plan(deep_merge(IMAGES, {"methods": live})).of("record")
    assert recording.recipe["epochs"] == 3, "those of kd"


def test_other_views_are_another_recording() -> None:
    other = deep_merge(IMAGES, {"methods": {"kd": {"objective": "kd", "training": {"views": {"flip": True}}}}})
    assert sorted(a.recipe["epochs"] for a in plan(other).of("record")) == [3, 4]


def test_images_that_never_change_are_recorded_as_texts_are() -> None:
    (recording,) = plan(deep_merge(IMAGES, {"training": {"views": {"shift": 0}}})).of("record")
    assert recording.recipe["kind"] == "logits"


def test_text_and_image_tasks_in_one_grid_join_what_fits(values: Values) -> None:
    both = deep_merge(values, IMAGES)
    both = deep_merge(
        both,
        {
            "methods": {"takd": {"assistants": ["half", "resnet-20"]}},
            "students": {"resnet-20": {"source": "new:resnet-20"}},
        },
    )
    grid = {"tasks": ["reviews", "digits"], "teachers": ["tiny", "resnet-14"], "students": ["quarter", "resnet-8"]}
    found = plan(both, **grid, methods=["kd", "pkd", "takd"], seeds=[0])
    cells = {tuple(s.labels[name] for name in ("task", "teacher", "method", "student")) for s in found.students}
    text = {("reviews", "tiny", method, "quarter") for method in ("kd", "pkd", "takd")}
    assert cells == text | {("digits", "resnet-14", method, "resnet-8") for method in ("kd", "takd")}
    assert {(h.labels["task"], h.labels["student"]) for h in found.helpers} == {
        ("reviews", "half"),
        ("digits", "resnet-20"),
    }


def test_what_fits_nothing_is_named() -> None:
    assert "grid.methods: 'pkd' fits nothing else in the grid" in refused(IMAGES, methods=["finetune", "pkd"])
    assert "'digits' fits nothing else" in refused(
        deep_merge(IMAGES, {"teachers": {"resnet-14": {"source": "path:somewhere"}}})
    )


@pytest.mark.parametrize("method", ["pkd", "hidden_kd", "tmkd"])
def test_a_method_for_texts_leaves_out_images_before_anything_is_trained(values: Values, method: str) -> None:
    defined = {"methods": {method: {"objective": method}}} if method == "hidden_kd" else {}
    said = refused(deep_merge(IMAGES, defined), methods=["finetune", method])
    assert said == (
        f"grid.methods: '{method}' fits nothing else in the grid; method '{method}' does not suit image tasks like "
        "'digits': add another task, or take it out"
    )
    both = deep_merge(deep_merge(values, IMAGES), defined)
    grid = {"tasks": ["reviews", "digits"], "teachers": ["tiny", "resnet-14"], "students": ["quarter", "resnet-8"]}
    found = plan(both, **grid, methods=["finetune", method], seeds=[0])
    assert {s.labels["task"] for s in found.students if s.labels["method"] == method} == {"reviews"}


def test_pkd_is_no_baseline_of_images() -> None:
    found = plan(IMAGES, methods=["annealing-kd"], baselines=["finetune", "kd", "pkd"])
    assert {s.labels["method"] for s in found.students} == {"finetune", "kd", "annealing-kd"}


def test_a_student_may_train_otherwise() -> None:
    own = deep_merge(IMAGES, {"students": {"resnet-8": {"training": {"epochs": 9, "batch_size": 4}}}})
    found = plan(own)
    assert one(found, method="kd").recipe["training"]["epochs"] == 9
    assert one(found, method="kd").recipe["training"]["batch_size"] == 4
    assert "training" not in one(found, method="kd").recipe["student"]
    (recording,) = found.of("record")
    assert recording.recipe["epochs"] == 9
    assert recording.options["student"] == "resnet-8"


def shipped(monkeypatch: pytest.MonkeyPatch, *names: str) -> Plan:
    """The plan of grids of the repository, one on top of the other, without any local data."""
    monkeypatch.chdir(ROOT)
    for name in ("DISTILGRID_GLUE_DIR", "DISTILGRID_CIFAR_DIR"):
        monkeypatch.delenv(name, raising=False)
    return expand(load_params(["params.yaml", *(f"grids/{name}.yaml" for name in names)]))


@pytest.mark.parametrize(
    ("names", "students", "candidates"),
    [
        (("annealing_kd_cifar10",), 2 * 8 * 3, 2 * (20 * 6 + 20)),
        (("annealing_kd_cifar10", "annealing_kd_cifar100"), 2 * 8 * 3, 2 * (20 * 6 + 20)),
        (("annealing_kd",), 8 * 8 * 3, 7 * (20 * 6 + 20) + (20 + 20)),
    ],
)
def test_grids_of_the_paper_try_all_of_its_values_and_can_judge_its_claims(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], students: int, candidates: int
) -> None:
    found = shipped(monkeypatch, *names)
    assert len(found.students) == students
    assert sum(".alpha-" in helper.labels["method"] for helper in found.helpers) == candidates
    grid, claims = found.params.grid, load_claims("grids/annealing_kd.claims.yaml", params=found.params).claims
    sides = [side for claim in claims if not claim.than for side in (claim.better, claim.worse)]
    assert {side.method for side in sides} <= set(grid.methods)
    gaps = {claim.id: {claim.better.student, claim.than.better.student} for claim in claims if claim.than}
    assert (gaps["larger-gap-larger-gain-images"] == set(grid.students)) == ("cifar" in grid.name)


def test_the_short_grid_on_top_has_one_student_and_its_own_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shipped(monkeypatch, "annealing_kd_cifar10", "annealing_kd_cifar10_mini")
    methods = ("finetune", "kd", "takd", "annealing-kd")
    cells = [(s.labels["method"], s.labels["student"]) for s in found.students]
    assert cells == [(method, "resnet-8") for method in methods for _ in range(3)]
    assert sorted(helper.labels["student"] for helper in found.helpers) == ["resnet-14"] + ["resnet-8"] * 4
