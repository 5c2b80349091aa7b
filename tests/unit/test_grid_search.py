"""Planning of searches: what their keys depend on, what is shared, what is refused."""

import copy
from pathlib import Path
from typing import Any

import pytest

from distilgrid.audit.garbage import collect
from distilgrid.core.errors import UserError
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import parse_params

SPACE = "layers: [1, 2]\nhidden: [8, 16]\nheads: [2]\nfeed_forward: [16]\n"


@pytest.fixture
def values(tiny_values: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A grid with a student from one search, and two searches to compare."""
    (tmp_path / "space.yaml").write_text(SPACE)
    search = {
        "space": str(tmp_path / "space.yaml"),
        "controller": {"kind": "random"},
        "estimator": {"kind": "mini_kd"},
        "reward": {"kind": "score-latency"},
    }
    tiny_values["searches"] = {
        "mini": search,
        "slices": copy.deepcopy(search) | {"estimator": {"kind": "supernet"}},
        "evolved": copy.deepcopy(search) | {"estimator": {"kind": "supernet"}, "controller": {"kind": "evolution"}},
    }
    tiny_values["students"]["found"] = {"found": {"search": "mini", "rank": 2}}
    tiny_values["grid"] |= {"students": ["half", "found"], "searches": ["slices", "evolved"], "methods": ["kd"]}
    return tiny_values


def plan(values: dict[str, Any]) -> Plan:
    return expand(parse_params(values, origin="test"))


def keys(plan: Plan) -> dict[str, str]:
    return {search.labels["search"]: search.key for search in plan.of("search")}


def found(plan: Plan) -> str:
    (student,) = {cell.key for cell in plan.students if cell.labels["student"] == "found" and cell.labels["seed"] == 0}
    return student


def test_each_search_is_planned_once_and_a_supernet_is_shared(values: dict[str, Any]) -> None:
    planned = plan(values)
    assert sorted(keys(planned)) == ["evolved", "mini", "slices"]
    assert len(planned.of("supernet")) == 1
    folders = list(planned.artefacts)
    student = next(cell for cell in planned.students if cell.labels["student"] == "found")
    (search,) = [each for each in planned.of("search") if each.labels["search"] == "mini"]
    assert folders.index(search.folder) < folders.index(student.folder)


def shares(planned: Plan) -> dict[str, list[float]]:
    """The recorded shares of the training rows, by what is kept."""
    found: dict[str, list[float]] = {}
    for each in planned.of("record"):
        found.setdefault(each.labels["kind"], []).append(each.recipe["fraction"])
    return found


def test_a_teacher_is_recorded_on_the_rows_that_a_search_or_a_student_learns_from(values: dict[str, Any]) -> None:
    hidden = {"kind": "mini_kd", "share": 0.4, "method": {"objective": "hidden_kd", "task": None}}
    values["searches"]["mini"]["estimator"] = hidden
    values["searches"]["slices"]["estimator"]["share"] = values["searches"]["evolved"]["estimator"]["share"] = 0.5
    assert shares(plan(values)) == {"logits": [1.0], "hidden-states": [0.4]}, "students have logits of all rows"
    values["grid"] |= {"methods": ["finetune"], "baselines": []}
    assert shares(plan(values)) == {"logits": [0.5], "hidden-states": [0.4]}
    values["grid"] |= {"methods": ["kd"], "fractions": [0.1]}
    assert shares(plan(values)) == {"logits": [0.5], "hidden-states": [0.4]}, "searches want more than students"
    values["methods"]["kd"]["teacher"] = "live"
    values["grid"]["fractions"] = [1.0]
    assert shares(plan(values)) == {"logits": [0.5], "hidden-states": [0.4]}, "live students read no recording"


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"controller": {"kind": "evolution"}}, True),
        ({"reward": {"kind": "score-latency", "alpha": -0.1}}, True),
        ({"estimator": {"kind": "mini_kd", "share": 0.5}}, True),
        ({"episodes": 2}, True),
        ({"latency": {"fused": False}}, True),
        ({"seeds": [0, 1]}, False),
    ],
)
def test_what_decides_a_search_is_in_its_key_and_its_students(
    values: dict[str, Any], change: dict[str, Any], moved: bool
) -> None:
    before = plan(values)
    values["searches"]["mini"] |= change
    after = plan(values)
    assert (keys(before)["mini"] != keys(after)["mini"]) == moved
    assert (found(before) != found(after)) == moved
    assert keys(before)["slices"] == keys(after)["slices"]


def test_the_space_counts_by_what_it_holds(values: dict[str, Any], tmp_path: Path) -> None:
    before = keys(plan(values))
    (tmp_path / "space.yaml").write_text("# the same\n" + SPACE)
    assert keys(plan(values)) == before
    (tmp_path / "space.yaml").write_text(SPACE.replace("[8, 16]", "[8]"))
    assert not set(keys(plan(values)).values()) & set(before.values())


def test_candidates_as_jobs_change_no_key_and_wait_for_the_episode_before(values: dict[str, Any]) -> None:
    values["searches"]["mini"] |= {"episodes": 3, "candidates": 4}
    before = plan(values)
    values["resources"] = values.get("resources", {}) | {"candidate_jobs": True}
    after = plan(values)
    assert set(before.artefacts) < set(after.artefacts) and before.report.key == after.report.key
    jobs = [each for each in after.artefacts.values() if each.stage == "candidate" and each.labels["search"] == "mini"]
    assert len(jobs) == 12
    for job in jobs:
        waits = {each.labels["episode"] for each in job.each_input() if each.stage == "candidate"}
        assert waits == ({job.labels["episode"] - 1} if job.labels["episode"] else set())
    (search,) = [each for each in after.of("search") if each.labels["search"] == "mini"]
    assert sum(each.stage == "candidate" for each in search.each_input()) == 4
    assert {Path(folder).parts[0] for folder in after.known} == {"searches", "candidates"}


def test_a_search_takes_the_teacher_where_candidates_inherit_it(values: dict[str, Any]) -> None:
    assert (
        "teacher-dir" not in next(each for each in plan(values).of("search") if each.labels["search"] == "mini").inputs
    )
    values["searches"]["mini"]["estimator"] = {"kind": "mini_kd", "init": "finetuned"}
    (search,) = [each for each in plan(values).of("search") if each.labels["search"] == "mini"]
    assert search.inputs["teacher-dir"] in plan(values).teachers
    values["searches"]["mini"]["estimator"]["inherit"] = "none"
    with pytest.raises(UserError, match="cannot go with inherit: none"):
        plan(values)


def test_a_student_may_begin_as_its_slice_of_the_supernet(values: dict[str, Any]) -> None:
    values["students"]["found"] = {"found": {"search": "slices"}, "init": "supernet"}
    planned = plan(values)
    student = next(cell for cell in planned.students if cell.labels["student"] == "found")
    assert [student.inputs["supernet"]] == planned.of("supernet")
    values["students"]["found"]["found"]["search"] = "mini"
    with pytest.raises(UserError, match=r"students.found.init: search 'mini' asks no supernet"):
        plan(values)
    values["students"]["found"] = {"layers": 1, "init": "supernet"}
    with pytest.raises(UserError, match="name the search with found"):
        plan(values)


def test_a_grid_without_searches_keeps_its_report(tiny_values: dict[str, Any]) -> None:
    before = plan(tiny_values).report.key
    tiny_values["searches"] = {}
    assert plan(tiny_values).report.key == before
    assert "search" not in plan(tiny_values).report.recipe["inputs"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"students": {"found": {"found": {"search": "mni"}}}},
            "found.search: unknown search 'mni'; did you mean 'mini'",
        ),
        (
            {"students": {"found": {"found": {"search": "mini", "seed": 3}}}},
            r"found.seed: search 'mini' has the seeds \[0\]",
        ),
        ({"students": {"found": {"found": {"search": "mini", "rank": 9}}}}, "found.rank: search 'mini' keeps 3"),
        ({"students": {"found": {"found": {"search": "mini"}, "layers": 2}}}, "leave out layers and architecture"),
        ({"grid": {"searches": ["slcies"]}}, "grid.searches: unknown search 'slcies'; did you mean 'slices'"),
        ({"searches": {"mini": {"episodes": 0}}}, "searches.mini.episodes"),
    ],
)
def test_bad_input_is_one_line(values: dict[str, Any], change: dict[str, Any], line: str) -> None:
    for section, named in change.items():
        for name, value in named.items():
            both = isinstance(value, dict) and section != "students"
            values[section][name] = values[section][name] | value if both else value
    with pytest.raises(UserError, match=line):
        plan(values)


def test_pkd_does_not_join_students_of_other_widths(values: dict[str, Any]) -> None:
    values["grid"] |= {"methods": ["tmkd"], "students": ["found"]}
    assert parse_params(values, origin="test").grid.methods == ["finetune", "kd", "tmkd"]


def test_what_searches_know_is_kept_as_long_as_they_are_named(
    values: dict[str, Any], tmp_path: Path, tiny_defaults: dict[str, Any]
) -> None:
    import yaml

    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(values))
    folder = tmp_path / "results" / plan(values).known[0] / "estimates-0123456789ab"
    folder.mkdir(parents=True)
    assert collect(params_files=[params], overlays=[], results=tmp_path / "results") == {}
    params.write_text(yaml.safe_dump(tiny_defaults))
    assert set(collect(params_files=[params], overlays=[], results=tmp_path / "results")) == {folder}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "sst2"}, "grid.replications.0: the grid has no cell with task sst2, teacher tiny"),
        ({"teacher": "small"}, "grid.replications.0: the grid has no cell with task reviews, teacher small"),
        ({"seeds": [5, 0]}, "grid.replications.0.seeds: searches.slices.seeds has 0, too"),
    ],
)
def test_seeds_of_a_search_that_the_grid_lacks_are_refused(
    values: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    added = {"task": "reviews", "teacher": "tiny", "search": "slices", "seeds": [5]}
    values["grid"]["replications"] = [added | changes]
    with pytest.raises(UserError, match=said):
        plan(values)
