"""Plans with mixed samples and augmented rows: what is shared, what each cell reads, what a change makes anew."""

from typing import Any

import pytest

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact, listed
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import parse_params

Values = dict[str, Any]


def plan(values: Values, **grid: Any) -> Plan:
    return expand(parse_params(deep_merge(values, {"grid": grid}), origin="test"))


@pytest.fixture
def values(tiny_values: Values) -> Values:
    mixing = {"methods": ["tmkd", "sm-tmkd"], "baselines": []}
    return deep_merge(tiny_values, {"grid": mixing, "students": {"quarter": {"layers": 1}}})


def inputs(student: Artefact) -> dict[str, list[Artefact]]:
    return {name: listed(source) for name, source in student.inputs.items()}


def mixed(found: Plan) -> list[Artefact]:
    return [artefact for artefact in found.of("record") if artefact.labels["kind"] == "mixed-logits"]


def test_all_students_alphas_and_seeds_share_one_recording(values: Values) -> None:
    found = plan(values, students=["half", "quarter"], seeds=[0, 1, 2])
    assert len(found.students) == 12
    (recording,) = mixed(found)
    assert {inputs(student)["mixed-outputs"][0].folder for student in found.students} == {recording.folder}
    assert all(set(inputs(student)) == {"data", "mixed-outputs"} for student in found.students)


@pytest.mark.parametrize(
    ("changed", "recordings", "students"),
    [
        ({"methods": {"tmkd": {"alpha_tmkd": 2}}}, 1, 2),
        ({"methods": {"tmkd": {"mixup": {"beta": 1}}}}, 2, 2),
        ({"methods": {"tmkd": {"training": {"epochs": 2}}}}, 2, 2),
        ({"methods": {"tmkd": {"training": {"learning_rate": 0.1}}}}, 1, 2),
    ],
)
def test_only_what_decides_the_mixed_samples_makes_another_recording(
    values: Values, changed: Values, recordings: int, students: int
) -> None:
    before, after = plan(values), plan(deep_merge(values, changed))
    assert len(mixed(after)) == recordings
    assert len({s.key for s in after.students} - {s.key for s in before.students}) == students, "both seeds of tmkd"


def test_shares_of_the_rows_have_mixed_samples_of_their_own(values: Values) -> None:
    found = plan(values, fractions=[0.5, 1.0])
    assert len(mixed(found)) == 2
    assert len(found.teachers) == 1


def test_the_teacher_is_recorded_on_the_largest_share_only(values: Values) -> None:
    found = plan(values, methods=["kd"], fractions=[0.1, 0.5])
    (recording,) = found.of("record")
    assert recording.recipe["fraction"] == 0.5
    assert recording.options["fraction"] == "0.5"
    values["teachers"]["tiny"]["rows"] = "students"
    found = plan(values, methods=["kd"], fractions=[0.1, 0.5])
    assert [recording.recipe["fraction"] for recording in found.of("record")] == [0.1, 0.5]


def test_a_live_teacher_is_read_instead(values: Values) -> None:
    found = plan(deep_merge(values, {"methods": {"tmkd": {"teacher": "live"}}}), methods=["tmkd"])
    assert found.of("record") == []
    assert all(inputs(student)["teacher-dir"] == found.teachers for student in found.students)


def test_without_teacher_terms_nothing_is_recorded(values: Values) -> None:
    found = plan(deep_merge(values, {"methods": {"tmkd": {"alpha_sm": 1, "alpha_tmkd": 0}}}), methods=["tmkd"])
    assert found.of("record") == []
    assert all(set(inputs(student)) == {"data"} for student in found.students)


def test_a_teacher_may_see_its_students_rows_only(values: Values) -> None:
    values["teachers"]["tiny"]["rows"] = "students"
    found = plan(values, fractions=[0.5, 1.0])
    assert [teacher.labels["fraction"] for teacher in found.teachers] == [0.5, 1.0]
    for recording in mixed(found):
        (teacher,) = inputs(recording)["teacher-dir"]
        assert teacher.labels["fraction"] == recording.recipe["fraction"]
    assert len(found.of("benchmark")) == 1, "latency does not depend on the rows"
    assert found.of("benchmark")[0].inputs["model"][0].labels["fraction"] == 1.0  # type: ignore[index, union-attr]


@pytest.fixture
def augmented(values: Values) -> Values:
    kinds = {"words": {"kind": "eda"}, "soft": {"kind": "eda", "labels": "teacher"}, "swaps": SWAPS}
    return deep_merge(values, {"augmentations": kinds, "grid": {"methods": ["finetune", "kd", "tmkd"], "seeds": [0]}})


SWAPS = {"kind": "eda", "synonym": 0, "insert": 0, "delete": 0}


def test_cells_with_augmented_rows_read_them_and_the_teacher_on_them(augmented: Values) -> None:
    found = plan(augmented, augmentations=["none", "words"])
    (rows,) = found.of("augment")
    cells = {(s.labels["method"], s.labels["augmentation"]): inputs(s) for s in found.students}
    assert "augmented" not in cells["finetune", "none"]
    assert cells["finetune", "words"]["augmented"] == [rows]
    assert len(cells["kd", "none"]["teacher-outputs"]) == 1
    plain, more = cells["kd", "words"]["teacher-outputs"]
    assert [plain] == cells["kd", "none"]["teacher-outputs"], "the original rows are recorded once"
    assert inputs(more)["augmented"] == [rows]
    (mixtures,) = cells["tmkd", "words"]["mixed-outputs"]
    assert inputs(mixtures)["augmented"] == [rows]
    assert len(mixed(found)) == 2


@pytest.mark.parametrize(("name", "needs"), [("words", True), ("soft", True), ("swaps", False)])
def test_augmentation_waits_for_a_teacher_only_if_it_needs_one(augmented: Values, name: str, needs: bool) -> None:
    (rows,) = plan(augmented, augmentations=[name]).of("augment")
    assert ("teacher-dir" in rows.inputs) == needs


def test_a_token_budget_is_refused_before_anything_runs(values: Values) -> None:
    with pytest.raises(UserError, match=r"training.batch_tokens: mixkd wants batches of one size"):
        plan(deep_merge(values, {"training": {"batch_tokens": 256}}))
    plan(deep_merge(values, {"training": {"batch_tokens": 256}, "methods": UNBOUND}))


UNBOUND = {name: {"training": {"batch_tokens": None}} for name in ("tmkd", "sm-tmkd")}


def test_each_share_of_the_rows_is_augmented_by_itself(augmented: Values) -> None:
    found = plan(augmented, augmentations=["words"], fractions=[0.25, 1.0])
    assert sorted(rows.labels["fraction"] for rows in found.of("augment")) == [0.25, 1.0]
