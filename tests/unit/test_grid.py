"""The plan: which cells, which artefacts, and whose recipe key depends on what."""

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact, listed
from distilgrid.methods.finetune.declare import Finetune
from distilgrid.methods.registry import method_classes
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import load_params, parse_params
from distilgrid.stages.table import STAGES as TABLE

Values = dict[str, Any]
STAGES = {"prepare", "finetune", "record", "distill", "export", "benchmark", "report"}


def plan(values: Values, *, bumped: str | None = None) -> Plan:
    table = TABLE if bumped is None else {**TABLE, bumped: replace(TABLE[bumped], version=TABLE[bumped].version + 1)}
    return expand(parse_params(values, origin="test"), stages=table)


def changed_by(values: Values, change: Callable[[Values], object], *, bumped: str | None = None) -> list[Artefact]:
    """The artefacts whose key differs after a change of the values or of the package's declared versions."""
    before = plan(values)
    values = copy.deepcopy(values)
    change(values)
    after = plan(values, bumped=bumped)
    assert [a.location for a in after.artefacts.values()] == [a.location for a in before.artefacts.values()]
    pairs = zip(before.artefacts.values(), after.artefacts.values(), strict=True)
    return [new for old, new in pairs if old.key != new.key]


def stages(artefacts: list[Artefact]) -> set[str]:
    return {artefact.stage for artefact in artefacts}


def methods(artefacts: list[Artefact], stage: str) -> set[Any]:
    return {artefact.labels["method"] for artefact in artefacts if artefact.stage == stage}


def test_cells_are_all_combinations(tiny_values: Values) -> None:
    tiny_values["grid"] |= {"students": ["half", "quarter"], "fractions": [0.1, 1.0], "seeds": [0, 1, 2]}
    tiny_values["students"]["quarter"] = {"layers": 1}
    found = plan(tiny_values)
    assert len(found.students) == 3 * 2 * 2 * 3
    assert len({student.folder for student in found.students}) == 36
    assert len(found.data) == len(found.teachers) == len(found.of("benchmark")) == 1
    assert [a.labels["kind"] for a in found.of("record")] == ["logits", "cls-states"]
    # The teacher and the first seed of 12 students, for two runtimes that need an export.
    assert len(found.of("export")) == (1 + 3 * 2 * 2) * 2
    assert len(found.artefacts) == 36 + 1 + 1 + 2 + 26 + 1 + 1


def test_all_seeds_are_exported_on_request(tiny_values: Values) -> None:
    tiny_values["export"] = {"seeds": "all"}
    assert len(plan(tiny_values).of("export")) == (1 + 6) * 2


def test_each_teacher_and_task_has_cells_of_its_own(tiny_values: Values) -> None:
    tiny_values["grid"] |= {"tasks": ["reviews", "again"], "teachers": ["tiny", "other"]}
    tiny_values["tasks"]["again"] = tiny_values["tasks"]["reviews"]
    tiny_values["teachers"]["other"] = tiny_values["teachers"]["tiny"] | {"seed": 5}
    found = plan(tiny_values)
    assert len(found.students) == 2 * 2 * 6
    assert len(found.of("benchmark")) == len(found.teachers) == 4
    assert len({artefact.folder for artefact in found.of("record")}) == 2 * 4
    for student in found.students:
        for source in listed(student.inputs.get("teacher-outputs", [])):
            assert (source.labels["task"], source.labels["teacher"]) == (
                student.labels["task"],
                student.labels["teacher"],
            )


def test_inputs_come_before_what_needs_them(tiny_values: Values) -> None:
    seen: set[str] = set()
    for folder, artefact in plan(tiny_values).artefacts.items():
        assert {source.folder for source in artefact.each_input()} <= seen, folder
        seen.add(folder)


def test_paths_say_what_they_hold(tiny_values: Values) -> None:
    found = plan(tiny_values)
    student = found.students[-1]
    assert student.location == "students/reviews/tiny/pkd/half/none/frac-1/seed-1"
    assert student.folder == f"{student.location}-{student.key}"
    assert found.of("export")[0].location == "exports/teachers/reviews/tiny/seed-0/onnxruntime-fp32"


def test_the_same_parameters_make_the_same_plan(tiny_values: Values) -> None:
    assert list(plan(tiny_values).artefacts) == list(plan(copy.deepcopy(tiny_values)).artefacts)


def test_a_method_setting_changes_that_method_only(tiny_values: Values) -> None:
    found = changed_by(tiny_values, lambda v: v["methods"]["kd"].update(alpha=0.5))
    assert stages(found) == {"distill", "export", "report"}
    assert methods(found, "distill") == methods(found, "export") == {"kd"}
    assert len([a for a in found if a.stage == "distill"]) == 2
    assert len([a for a in found if a.stage == "export"]) == 2  # the first seed, on two runtimes


def test_a_method_override_changes_that_method_only(tiny_values: Values) -> None:
    found = changed_by(tiny_values, lambda v: v["methods"]["pkd"].update(training={"epochs": 4}))
    assert methods(found, "distill") == {"pkd"}
    assert "record" not in stages(found)


def test_a_training_setting_changes_all_models_but_no_data(tiny_values: Values) -> None:
    found = changed_by(tiny_values, lambda v: v["training"].update(learning_rate=2e-3))
    assert stages(found) == STAGES - {"prepare"}
    assert methods(found, "distill") == {"finetune", "kd", "pkd"}


def test_a_teacher_setting_spares_cells_that_do_not_see_the_teacher(tiny_values: Values) -> None:
    found = changed_by(tiny_values, lambda v: v["teachers"]["tiny"].update(seed=0, training={"epochs": 3}))
    assert stages(found) >= {"finetune", "record"}
    assert methods(found, "distill") == {"kd", "pkd"}


@pytest.mark.parametrize(("init", "depends"), [("pretrained", False), ("scratch", False), ("finetuned", True)])
def test_only_finetuned_students_depend_on_the_teacher(tiny_values: Values, init: str, depends: bool) -> None:
    tiny_values["students"]["half"]["init"] = init
    found = changed_by(tiny_values, lambda v: v["teachers"]["tiny"].update(training={"epochs": 3}))
    assert ("finetune" in methods(found, "distill")) == depends
    cells = [s for s in plan(tiny_values).students if s.labels["method"] == "finetune"]
    assert all(("teacher-dir" in cell.inputs) == depends for cell in cells)


def test_a_data_setting_changes_everything(tiny_values: Values) -> None:
    assert stages(changed_by(tiny_values, lambda v: v["data"].update(seed=1))) == STAGES


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v.update(resources={"threads": 2, "log_level": "debug"}), set()),
        (lambda v: v["data"].update(glue_dir="/"), set()),
        (lambda v: v["students"].update(unused={"layers": 1}), set()),
        (lambda v: v["methods"].update(unused={"objective": "kd"}), set()),
        (lambda v: v["methods"]["kd"].update(alpha=0.7, temperature=4, training={}), set()),  # the defaults, spelt out
        (lambda v: v["report"].update(confidence=0.9), {"report"}),
        (lambda v: v["benchmark"].update(repetitions=9), {"benchmark", "report"}),
        (lambda v: v.update(export={"tolerance": 1e-3}), {"export", "benchmark", "report"}),
        (lambda v: v["students"]["half"].update(layers=3), {"distill", "export", "benchmark", "report"}),
    ],
)
def test_a_change_reaches_only_what_depends_on_it(
    tiny_values: Values, change: Callable[[Values], object], expected: set[str]
) -> None:
    assert stages(changed_by(tiny_values, change)) == expected


def test_comments_and_order_change_nothing(tmp_path: Path, tiny_params_file: Path, tiny_values: Values) -> None:
    commented = tmp_path / "commented.yaml"
    backwards = dict(reversed(tiny_values.items()))
    commented.write_text("# a comment\n" + yaml.safe_dump(backwards, sort_keys=False) + "# another one\n")
    before, after = expand(load_params([tiny_params_file])), expand(load_params([commented]))
    assert list(before.artefacts) == list(after.artefacts)


def test_a_new_version_of_recording_spares_plain_fine_tuning(tiny_values: Values) -> None:
    found = changed_by(tiny_values, lambda _: None, bumped="record")
    assert methods(found, "distill") == {"kd", "pkd"}
    assert {"record", "distill"} <= stages(found)
    assert not {"prepare", "finetune"} & stages(found)


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_new_version_of_a_stage_changes_its_own_keys(tiny_values: Values, stage: str) -> None:
    found = changed_by(tiny_values, lambda _: None, bumped=stage)
    expected = [a for a in plan(tiny_values).artefacts.values() if a.stage == stage]
    assert [a.location for a in found if a.stage == stage] == [a.location for a in expected]


@pytest.mark.parametrize("method", ["kd", "pkd"])
def test_a_new_version_of_a_method_changes_that_method_only(
    tiny_values: Values, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = method_classes()[method]
    found = changed_by(tiny_values, lambda _: monkeypatch.setattr(newer, "version", newer.version + 1))
    assert methods(found, "distill") == {method}
    assert not {"prepare", "finetune", "record"} & stages(found)


def test_a_new_version_of_fine_tuning_changes_teachers_too(
    tiny_values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = changed_by(tiny_values, lambda _: monkeypatch.setattr(Finetune, "version", Finetune.version + 1))
    assert stages(found) == STAGES - {"prepare"}


def test_a_csv_is_known_by_its_content_not_by_its_path(tmp_path: Path, tiny_values: Values, reviews_csv: Path) -> None:
    moved = tmp_path / "elsewhere" / "renamed.csv"
    moved.parent.mkdir()
    shutil.copy(reviews_csv, moved)
    assert changed_by(tiny_values, lambda v: v["tasks"]["reviews"].update(source=f"csv:{moved}")) == []
    with moved.open("a") as stream:
        stream.write("a fine plot,positive\n")
    assert stages(changed_by(tiny_values, lambda v: v["tasks"]["reviews"].update(source=f"csv:{moved}"))) == STAGES


def test_a_validation_file_is_part_of_the_data(tmp_path: Path, tiny_values: Values, reviews_csv: Path) -> None:
    other = tmp_path / "validation.csv"
    shutil.copy(reviews_csv, other)
    tiny_values["tasks"]["reviews"]["validation_source"] = f"csv:{other}"
    with_it = plan(tiny_values)
    other.write_text(other.read_text() + "dull film,negative\n")
    assert plan(tiny_values).data["reviews"].key != with_it.data["reviews"].key


def test_a_model_is_known_by_its_content_not_by_its_path(tmp_path: Path, tiny_values: Values, tiny_model: Path) -> None:
    moved = tmp_path / "model"
    shutil.copytree(tiny_model, moved)
    assert changed_by(tiny_values, lambda v: v["teachers"]["tiny"].update(source=f"path:{moved}")) == []
    weights = bytearray((moved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (moved / "model.safetensors").write_bytes(weights)
    found = changed_by(tiny_values, lambda v: v["teachers"]["tiny"].update(source=f"path:{moved}"))
    assert stages(found) == STAGES - {"prepare"}


def test_a_glue_folder_does_not_disturb_other_tasks(
    tiny_values: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTILGRID_GLUE_DIR", raising=False)
    without = plan(tiny_values).data["reviews"].key
    monkeypatch.setenv("DISTILGRID_GLUE_DIR", str(tmp_path))
    assert plan(tiny_values).data["reviews"].key == without


@pytest.mark.parametrize(
    ("dotted", "value", "named"),
    [
        (("tasks", "reviews", "source"), "csv:/nowhere/reviews.csv", "/nowhere/reviews.csv: no such file"),
        (("teachers", "tiny", "source"), "path:/nowhere/model", "/nowhere/model"),
        (("teachers", "tiny", "source"), "package:no-such-model-package", "no-such-model-package"),
        (("teachers", "tiny", "source"), "hub:org/model@main", "pin a revision"),
        (("data", "glue_dir"), "/nowhere/glue", "/nowhere/glue"),
    ],
)
def test_a_missing_source_is_named_while_planning(
    tiny_values: Values, dotted: tuple[str, ...], value: str, named: str
) -> None:
    node = tiny_values
    for part in dotted[:-1]:
        node = node[part]
    node[dotted[-1]] = value
    with pytest.raises(UserError, match=named) as caught:
        plan(tiny_values)
    assert "\n" not in str(caught.value)


def test_planning_a_thousand_cells_loads_nothing_heavy(tiny_values: Values, tmp_path: Path) -> None:
    tiny_values["grid"] |= {"seeds": list(range(400))}
    path = tmp_path / "large.yaml"
    path.write_text(yaml.safe_dump(tiny_values))
    program = (
        "import sys\n"
        "from distilgrid.plan.expand import expand\n"
        "from distilgrid.plan.params import load_params\n"
        f"plan = expand(load_params([{str(path)!r}]))\n"
        "heavy = {'torch', 'numpy', 'pandas', 'transformers', 'pyarrow', 'safetensors'} & set(sys.modules)\n"
        "print(len(plan.students), len(plan.artefacts) > 1200, sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "1200 True []", done.stderr
