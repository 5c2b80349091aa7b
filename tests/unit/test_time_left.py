"""The time that `distilgrid plan` expects: epochs, rows and searches count."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.unit.relisted import relist

from distilgrid.audit.estimate import source_rows
from distilgrid.audit.status import states, time_left
from distilgrid.core.artefacts import RUN, writing
from distilgrid.core.planned import Artefact
from distilgrid.core.schema import deep_merge
from distilgrid.core.stage import passes
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import parse_params
from distilgrid.stages.search.declare import of_candidate
from distilgrid.stages.table import STAGES
from distilgrid.tasks.spec import TaskSpec
from distilgrid.workflow.opening import merged

Values = dict[str, Any]


@pytest.fixture
def values(tiny_values: Values, tmp_path: Path) -> Values:
    """Parameters whose teacher trains as the section `training` says, on a file of 100,000 rows."""
    (tmp_path / "many.csv").write_text("text,sentiment\n" + "a b,pos\nc d,neg\n" * 50_000)
    own = {"tasks": {"reviews": {"source": f"csv:{tmp_path / 'many.csv'}"}}}
    found = deep_merge(copy.deepcopy(tiny_values), own)
    found["teachers"]["tiny"].pop("training", None)
    return found


def plan(values: Values, **changes: Values) -> Plan:
    return expand(parse_params(deep_merge(values, changes), origin="test"))


def minutes(found: Plan, results: Path) -> int:
    said = time_left(states(found, results=results), found.params, results=results, cores=1)
    return int(re.search(r"about (\d+) min", said)[1])  # type: ignore[index]


def finish(results: Path, *artefacts: Artefact, seconds: float = 0.0) -> None:
    for artefact in artefacts:
        with writing(results / artefact.folder, recipe=artefact.recipe, labels=artefact.labels) as scratch:
            for name in artefact.files:
                if name != RUN:
                    (scratch / name).write_text(name)
        path = results / artefact.folder / RUN
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))


def test_epochs_and_rows_count(values: Values, tmp_path: Path) -> None:
    def left(epochs: int, rows: int | None, **grid: Any) -> int:
        return minutes(plan(values, training={"epochs": epochs}, data={"max_train_rows": rows}, grid=grid), tmp_path)

    assert left(300, 2000) > 50 * left(1, 2000), "start-up and measuring do not grow"
    assert left(30, 20_000) == pytest.approx(left(300, 2000), rel=0.1)
    assert left(3, None) == left(3, 90_000), "a tenth of the file's rows is held out"
    assert left(30, None, fractions=[0.1]) < left(30, None) / 2


def test_rows_of_prepared_data_are_known(values: Values, tmp_path: Path) -> None:
    found = plan(values, training={"epochs": 100}, data={"max_train_rows": 2000})
    before = minutes(found, tmp_path)
    (data,) = found.of("prepare")
    finish(tmp_path, data)
    (tmp_path / data.folder / "dataset.json").write_text(json.dumps({"splits": {"train": {"rows": 50}}}))
    relist(tmp_path / data.folder, "dataset.json")
    assert minutes(found, tmp_path) < before / 10


def test_what_training_took_is_scaled_to_the_epochs_that_are_left(values: Values, tmp_path: Path) -> None:
    before = plan(values, training={"epochs": 2})
    finish(tmp_path, *before.artefacts.values())
    finish(tmp_path, *before.students, seconds=60.0)
    longer = plan(values, training={"epochs": 20})
    finish(tmp_path, *longer.teachers, *longer.of("record"))
    assert minutes(longer, tmp_path) == pytest.approx(10 * len(longer.students), rel=0.2)


@pytest.mark.parametrize(("own", "epochs"), [({}, 6), ({"stage1": {"epochs": 14}, "stage2": {"epochs": 4}}, 18)])
def test_a_method_of_phases_takes_their_epochs(own: Values, epochs: int) -> None:
    assert passes({"method": {"objective": "x", **own}, "training": {"epochs": 6}}, 500) == epochs * 0.5


def searching(**changes: Any) -> Plan:
    files = [ROOT / "params.yaml", ROOT / "grids/kd_nas_mini.yaml"]
    values = deep_merge(merged(files, []), deep_merge({"grid": {"students": ["minilm-l2"]}}, changes))
    return expand(parse_params(values, origin="test"))


def test_searches_of_a_small_space_share_what_they_find(tmp_path: Path) -> None:
    """Seven searches with mini-KD, of five seeds each, try 1,400 architectures; their space has 144."""
    found = searching()
    one = next(each for each in found.of("search") if each.recipe["estimator"]["kind"] == "mini_kd")
    estimate = STAGES["search"].seconds * of_candidate(one.recipe, 8000)
    assert 0.5 < estimate * 144 / 60 < minutes(found, tmp_path) < estimate * 1400 / 60


def test_a_search_after_its_candidates_does_nothing_again(tmp_path: Path) -> None:
    few = {"random": {"seeds": [0, 1]}}
    found = searching(resources={"candidate_jobs": True}, grid={"searches": ["random"]}, searches=few)
    before = minutes(found, tmp_path)
    finish(tmp_path, *(each for each in found.artefacts.values() if each.stage != "search"))
    after = minutes(found, tmp_path)
    assert after < before / 3, "numbers alone: a failure that prints the whole plan takes all memory"


def test_rows_of_a_source_are_counted_where_that_is_quick(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "a,b\n" * 99)
    (tmp_path / "a.csv.gz").write_bytes(b"\n\n")
    counts = [
        source_rows(TaskSpec(source=source, text=["text"]))
        for source in (f"csv:{tmp_path / 'a.csv'}", f"csv:{tmp_path / 'a.csv.gz'}", "csv:nowhere.csv", "glue:rte")
    ]
    assert counts == [100, None, None, 2490]
