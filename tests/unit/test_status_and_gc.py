"""What is done, stale or to do and why; and which folders may go."""

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from distilgrid.audit.garbage import collect, remove
from distilgrid.audit.status import Status, overview, states, time_left
from distilgrid.cli.app import app
from distilgrid.core.artefacts import RUN, is_complete, writing
from distilgrid.plan.expand import Artefact, Plan, expand
from distilgrid.plan.params import load_params, parse_params
from distilgrid.stages.table import STAGES

Values = dict[str, Any]


def plan(values: Values, **changes: Values) -> Plan:
    """The plan of the values, with some keys of some sections changed."""
    values = copy.deepcopy(values)
    for section, change in changes.items():
        values.setdefault(section, {}).update(change)
    return expand(parse_params(values, origin="test"))


def test_every_stage_has_a_rough_figure() -> None:
    assert all(stage.seconds > 0 for stage in STAGES.values())


def finish(results: Path, *artefacts: Artefact, age: int = 0) -> None:
    """Make artefacts of the right names with empty contents; `age` in seconds."""
    for artefact in artefacts:
        folder = results / artefact.folder
        with writing(folder, recipe=artefact.recipe, labels=artefact.labels) as scratch:
            for name in artefact.files:
                if name != RUN:
                    (scratch / name).write_text(name)
        stamp = folder.stat().st_mtime - age
        os.utime(folder, (stamp, stamp))


def finish_all(results: Path, found: Plan) -> None:
    finish(results, *found.artefacts.values())


def by_location(found: list[Status]) -> dict[str, Status]:
    return {status.artefact.location: status for status in found}


# Status ---------------------------------------------------------------------------------------------------------------


def test_everything_is_to_do_at_first_and_done_at_last(tmp_path: Path, tiny_values: Values) -> None:
    found = plan(tiny_values)
    assert {s.state for s in states(found, results=tmp_path)} == {"to do"}
    finish(tmp_path, found.data["reviews"], *found.teachers)
    state = {s.artefact.folder: s.state for s in states(found, results=tmp_path)}
    assert [folder for folder, s in state.items() if s == "done"] == [
        found.data["reviews"].folder,
        found.teachers[0].folder,
    ]
    finish_all(tmp_path, found)
    assert {s.state for s in states(found, results=tmp_path)} == {"done"}


@pytest.mark.parametrize("lost", [RUN, "metrics.json"])
def test_an_incomplete_artefact_is_not_done(tmp_path: Path, tiny_values: Values, lost: str) -> None:
    found = plan(tiny_values)
    finish(tmp_path, *found.teachers)
    (tmp_path / found.teachers[0].folder / lost).unlink()
    assert by_location(states(found, results=tmp_path))[found.teachers[0].location].state == "to do"


def test_a_stale_cell_says_which_setting_changed(tmp_path: Path, tiny_values: Values) -> None:
    finish_all(tmp_path, plan(tiny_values))
    changed = plan(tiny_values, methods={"kd": {"objective": "kd", "alpha": 0.5}})
    found = states(changed, results=tmp_path)
    cells = [s for s in found if s.artefact.stage == "distill"]
    assert {s.artefact.labels["method"] for s in cells if s.state == "stale"} == {"kd"}
    assert {s.why for s in cells if s.state == "stale"} == {"method.alpha: 0.7 -> 0.5"}
    exports = [s for s in found if s.artefact.stage == "export" and s.state == "stale"]
    assert {s.why for s in exports} == {"model changed"}
    assert all(s.why == "" for s in found if s.state == "done")


def test_a_cell_says_which_input_changed(tmp_path: Path, tiny_values: Values) -> None:
    finish_all(tmp_path, plan(tiny_values))
    teacher = {"tiny": tiny_values["teachers"]["tiny"] | {"seed": 0, "training": {"epochs": 3}}}
    found = by_location(states(plan(tiny_values, teachers=teacher), results=tmp_path))
    assert found["teachers/reviews/tiny/seed-0"].why == "training.epochs: 2 -> 3"
    assert found["teacher-outputs/reviews/tiny/logits-seed-0"].why == "teacher-dir changed"
    assert found["students/reviews/tiny/kd/half/none/frac-1/seed-0"].why == "teacher-outputs changed"
    assert found["students/reviews/tiny/finetune/half/none/frac-1/seed-0"].state == "done"


def test_many_changes_are_summed_up(tmp_path: Path, tiny_values: Values) -> None:
    finish_all(tmp_path, plan(tiny_values))
    changes = {"epochs": 9, "batch_size": 4, "weight_decay": 0.5, "max_length": 16, "patience": 2}
    found = by_location(states(plan(tiny_values, training=changes), results=tmp_path))
    why = found["students/reviews/tiny/finetune/half/none/frac-1/seed-0"].why
    assert why.count(" -> ") == 3
    assert why.endswith("(+2 more)")


def test_the_newest_predecessor_is_compared(tmp_path: Path, tiny_values: Values) -> None:
    for rate, age in ((1e-4, 50), (2e-4, 10), (3e-4, 90)):
        finish(tmp_path, *plan(tiny_values, training={"learning_rate": rate}).teachers, age=age)
    found = by_location(states(plan(tiny_values), results=tmp_path))
    assert found["teachers/reviews/tiny/seed-0"].why == "training.learning_rate: 0.0002 -> 0.001"


def test_an_artefact_of_a_longer_name_is_no_predecessor(tmp_path: Path, tiny_values: Values) -> None:
    tiny_values["teachers"]["tiny-two"] = tiny_values["teachers"]["tiny"] | {"seed": 7}
    other = plan(tiny_values, grid={"name": "tiny-again", "teachers": ["tiny-two"]})
    finish_all(tmp_path, other)
    found = by_location(states(plan(tiny_values), results=tmp_path))
    assert found["data/reviews/reviews"].state == "done"
    assert {s.state for location, s in found.items() if not location.startswith("data/")} == {"to do"}


def whole(found: Plan, results: Path, *, cores: int | None = None) -> str:
    """All that `distilgrid plan` prints."""
    listed = states(found, results=results)
    return "\n".join([overview(listed, found.params), time_left(listed, found.params, results=results, cores=cores)])


def minutes(text: str) -> int:
    found = re.search(r"about (\d+) min", text)
    assert found, text
    return int(found[1])


def test_the_overview_counts_and_estimates(tmp_path: Path, tiny_values: Values) -> None:
    tiny_values["training"]["epochs"] = 300
    found = plan(tiny_values, grid={"seeds": list(range(30))})
    text = whole(found, tmp_path, cores=1)
    assert "grid 'tiny': 90 cells" in text
    assert re.search(r"distill +90 to do", text)
    assert "nothing has been measured here yet" in text
    assert minutes(text) > 1.8 * minutes(whole(found, tmp_path, cores=2))
    wide = plan(tiny_values, grid={"seeds": list(range(30))}, resources={"threads": 2})
    assert minutes(whole(wide, tmp_path, cores=2)) == minutes(text)

    finish(tmp_path, found.data["reviews"], *found.students[:20])
    text = whole(found, tmp_path, cores=1)
    assert re.search(r"distill +20 done, 70 to do", text)
    assert "from finished artefacts" in text
    assert minutes(text) < 20, "the finished cells took no time, so the others will not either"


def test_a_benchmark_takes_as_long_as_its_models_and_what_other_grids_took(tmp_path: Path, tiny_values: Values) -> None:
    found = plan(tiny_values, benchmark={"runtimes": ["onnxruntime-fp32"]})
    finish(tmp_path, *[a for a in found.artefacts.values() if a.stage not in ("benchmark", "report")])
    first = found.of("benchmark")[0]
    finish(tmp_path, first)
    _took(tmp_path / first.folder, seconds=360.0)

    runtimes = ["onnxruntime-fp32", "onnxruntime-int8"]
    wider = plan(tiny_values, benchmark={"runtimes": runtimes}, report={"bootstrap_samples": 300})
    finish(tmp_path, *[a for a in wider.artefacts.values() if a.stage not in ("benchmark", "report")])
    assert minutes(whole(wider, tmp_path, cores=2)) == pytest.approx(9, abs=1), "half as many models again"


def test_a_damaged_artefact_of_another_grid_does_not_keep_this_one_from_being_planned(
    tmp_path: Path, tiny_values: Values
) -> None:
    found = plan(tiny_values)
    (tmp_path / "students/other-0123456789ab").mkdir(parents=True)
    (tmp_path / "students/other-0123456789ab" / RUN).write_text('{"files": {')
    assert "nothing has been measured here yet" in whole(found, tmp_path, cores=1)


def _took(folder: Path, *, seconds: float) -> None:
    run = json.loads((folder / RUN).read_text())
    (folder / RUN).write_text(json.dumps(run | {"seconds": seconds}))


def test_the_estimate_ends_with_the_work(tmp_path: Path, tiny_values: Values) -> None:
    found = plan(tiny_values)
    finish_all(tmp_path, found)
    assert whole(found, tmp_path).endswith("nothing to be done")


def test_the_plan_command_shows_the_three_states(tmp_path: Path, tiny_values: Values) -> None:
    results, path = tmp_path / "results", tmp_path / "params.yaml"
    before = plan(tiny_values)
    finish(results, before.data["reviews"], *before.teachers)
    tiny_values["teachers"]["tiny"]["training"] = {"epochs": 5}
    path.write_text(yaml.safe_dump(tiny_values))
    shown = CliRunner().invoke(app, ["plan", "--params", str(path), "--results", str(results)])
    lines = {
        line.split()[-1] if "<-" not in line else line.split()[1]: line for line in shown.output.splitlines() if line
    }
    after = plan(tiny_values)
    assert lines[after.data["reviews"].folder].startswith("done ")
    assert lines[after.teachers[0].folder] == f"stale  {after.teachers[0].folder}  <- training.epochs: 2 -> 5"
    assert lines[after.students[0].folder] == f"to do  {after.students[0].folder}"


@pytest.mark.parametrize(("finished", "code"), [(False, 1), (True, 0)])
def test_the_check_is_one_line_and_an_exit_code(tmp_path: Path, tiny_values: Values, finished: bool, code: int) -> None:
    results, path = tmp_path / "results", tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tiny_values))
    if finished:
        finish_all(results, plan(tiny_values))
    shown = CliRunner().invoke(app, ["plan", "--check", "--params", str(path), "--results", str(results)])
    assert shown.exit_code == code
    assert shown.output.count("\n") == 1
    assert ("nothing to be done" in shown.output) is finished


# Garbage --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path, tiny_values: Values) -> Path:
    """A results folder with everything of the tiny grid, and what a workflow keeps beside it."""
    folder = tmp_path / "results"
    found = plan(tiny_values)
    finish_all(folder, found)
    for name in ("logs/distill/x.log", ".params/tiny.yaml", "mlflow.db", f"{found.tracking}/summary.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("kept")
    return folder


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_nothing_of_the_grid_may_go(results: Path, tiny_params_file: Path) -> None:
    assert collect(params_files=[tiny_params_file], overlays=[], results=results) == {}


def test_what_no_grid_names_may_go(results: Path, tiny_params_file: Path, tiny_values: Values) -> None:
    other = plan(tiny_values, methods={"kd": {"objective": "kd", "alpha": 0.5}})
    before = files(results)
    finish_all(results, other)
    old_tracking = results / "tracking" / "tiny-0123456789ab"
    old_tracking.mkdir()
    found = collect(params_files=[tiny_params_file], overlays=[], results=results)
    names = {results / folder for folder in other.artefacts.keys() - plan(tiny_values).artefacts.keys()}
    assert found.keys() == names | {old_tracking}
    for folder, size in found.items():
        assert size == sum(path.stat().st_size for path in files(folder))
    remove(found, results=results)
    assert files(results) >= {path for path in before if path.name != ".lock"}
    assert not any(folder.exists() for folder in found)
    assert collect(params_files=[tiny_params_file], overlays=[], results=results) == {}


def test_an_overlays_artefacts_stay(results: Path, tiny_params_file: Path, tiny_values: Values, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("grid: {name: other}\ntraining: {learning_rate: 0.002}\n")
    finish_all(results, plan(tiny_values, grid={"name": "other"}, training={"learning_rate": 0.002}))
    assert collect(params_files=[tiny_params_file], overlays=[overlay], results=results) == {}
    unnamed = collect(params_files=[tiny_params_file], overlays=[], results=results)
    assert {folder.relative_to(results).parts[0] for folder in unnamed} == {
        "teachers",
        "teacher-outputs",
        "students",
        "exports",
        "benchmarks",
        "reports",
    }


def test_added_seeds_belong_to_the_grid_before_them(
    results: Path, tiny_params_file: Path, tiny_values: Values, tmp_path: Path
) -> None:
    """`distilgrid decide --grid mine.yaml` writes added.yaml on top of mine.yaml: its cells have mine's settings."""
    added = {"task": "reviews", "teacher": "tiny", "method": "kd", "student": "half", "seeds": [7]}
    texts = {
        "mine": {"grid": {"name": "mine"}, "training": {"learning_rate": 0.002}},
        "other": {"grid": {"name": "other", "methods": ["finetune"]}},
        "added": {"grid": {"replications": [added]}},
    }
    for name, values in texts.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))
    mine, more, other = (tmp_path / f"{name}.yaml" for name in ("mine", "added", "other"))
    finish_all(results, plan(tiny_values, grid={"name": "mine"}, training={"learning_rate": 0.002}))
    known = files(results)
    finish_all(results, expand(load_params([tiny_params_file, mine, more])))
    assert files(results) > known
    assert collect(params_files=[tiny_params_file], overlays=[mine, more, other], results=results) == {}
    unnamed = collect(params_files=[tiny_params_file], overlays=[mine], results=results)
    assert {folder.relative_to(results).parts[0] for folder in unnamed} == {"students", "reports"}


def test_leftovers_of_a_killed_job_may_go_once_nothing_names_them(results: Path, tiny_params_file: Path) -> None:
    leftover = results / "students/reviews/tiny/kd/half/none/frac-1/seed-9-0123456789ab/.scratch-17"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"x" * 1000)
    assert collect(params_files=[tiny_params_file], overlays=[], results=results) == {leftover.parent: 1000}


def test_folders_that_become_empty_go_too(results: Path, tiny_params_file: Path, tiny_values: Values) -> None:
    tiny_values["students"]["quarter"] = {"layers": 1}
    finish(results, *plan(tiny_values, grid={"students": ["quarter"]}).students)
    assert (results / "students/reviews/tiny/kd/quarter").is_dir()
    remove(collect(params_files=[tiny_params_file], overlays=[], results=results), results=results)
    assert not (results / "students/reviews/tiny/kd/quarter").exists()
    assert (results / "students/reviews/tiny/kd/half").is_dir()


def test_a_name_that_looks_like_a_key_protects_its_artefacts(tmp_path: Path, tiny_values: Values) -> None:
    name = "tiny-0123456789ab"
    tiny_values["teachers"][name] = tiny_values["teachers"].pop("tiny")
    tiny_values["grid"]["teachers"] = [name]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tiny_values))
    finish_all(tmp_path / "results", plan(tiny_values))
    assert collect(params_files=[path], overlays=[], results=tmp_path / "results") == {}


def test_no_results_are_no_garbage(tmp_path: Path, tiny_params_file: Path) -> None:
    assert collect(params_files=[tiny_params_file], overlays=[], results=tmp_path / "absent") == {}


def test_the_gc_command_deletes_only_when_told(results: Path, tiny_params_file: Path, tiny_values: Values) -> None:
    unnamed = plan(tiny_values, training={"epochs": 7}).students[0]
    finish(results, unnamed)
    words = ["gc", "--params", str(tiny_params_file), "--results", str(results)]
    dry = CliRunner().invoke(app, words)
    assert dry.exit_code == 0
    assert f"would delete {results / unnamed.folder}" in dry.output
    assert dry.output.splitlines()[-1].startswith("1 folders")
    assert is_complete(results / unnamed.folder)
    done = CliRunner().invoke(app, [*words, "--delete"])
    assert f"deleting {results / unnamed.folder}" in done.output
    assert not (results / unnamed.folder).exists()
    assert all(is_complete(results / folder) for folder in plan(tiny_values).artefacts)
