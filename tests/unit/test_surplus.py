"""Inputs given by hand that a stage's settings do not read: refused, since they change nothing but the recipe."""

from typing import Any

import pytest
import yaml

from distilgrid.core.errors import UserError
from distilgrid.plan.params import Params, parse_params
from distilgrid.stages.table import STAGES

CELL = {"task": "reviews", "teacher": "tiny", "method": "kd", "student": "half", "augmentation": "none"}
CELL |= {"fraction": 1.0, "seed": 0}
RECORDED = {"data": "a", "teacher-outputs": ["b"]}


@pytest.fixture(scope="module")
def params(tiny_defaults: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Params:
    space = tmp_path_factory.mktemp("surplus") / "space.yaml"
    space.write_text(yaml.safe_dump({"layers": [1], "hidden": [16], "heads": [2], "feed_forward": [16]}))
    search = {"space": str(space), "controller": {"kind": "random"}, "reward": {"kind": "score-latency"}}
    values = {
        **tiny_defaults,
        "augmentations": {
            "eda": {"kind": "eda", "synonym": 0, "insert": 0},
            "asked": {"kind": "eda", "labels": "teacher"},
        },
        "searches": {
            "net": {**search, "estimator": {"kind": "supernet"}},
            "tries": {**search, "estimator": {"kind": "mini_kd", "init": "pretrained"}},
        },
    }
    values["students"] = {**tiny_defaults["students"], "heir": {"layers": 2, "init": "finetuned"}}
    return parse_params(values, origin="test")


def recipe(params: Params, stage: str, keys: dict[str, Any], **options: Any) -> Any:
    return STAGES[stage].made_from(STAGES[stage].settings(params, {**CELL, **options}), keys)


@pytest.mark.parametrize(
    ("stage", "keys", "options", "said"),
    [
        ("distill", {"data": "a", "teacher-dir": ["b"]}, {"method": "finetune"}, "--teacher-dir: method 'finetune'"),
        ("distill", RECORDED, {"method": "finetune"}, "--teacher-outputs: method 'finetune' reads no such"),
        ("distill", {**RECORDED, "mixed-outputs": ["c"]}, {}, "--mixed-outputs: method 'kd' reads no such recording"),
        ("distill", {**RECORDED, "augmented": "c"}, {}, "--augmented: --augmentation is none: name the augmentation"),
        ("distill", RECORDED, {"augmentation": "eda"}, "--augmentation is 'eda'; give its rows by --augmented"),
        ("distill", {**RECORDED, "tried": ["c"]}, {}, "--tried: method 'kd' tunes no values here; leave it out"),
        ("distill", {**RECORDED, "search": "c"}, {}, "--search: no search found the student's shape; leave it out"),
        ("distill", {**RECORDED, "supernet": "c"}, {}, "--supernet: the student begins by init: "),
        ("augment", {"data": "a", "teacher-dir": "b"}, {"augmentation": "eda"}, "--teacher-dir: augmentation 'eda'"),
        ("search", {**RECORDED, "supernet": "c"}, {"search": "tries"}, "--supernet: the estimator 'mini_kd' asks no"),
        ("search", {**RECORDED, "teacher-dir": "c"}, {"search": "tries"}, "--teacher-dir: no candidate begins as"),
        ("search", {**RECORDED, "latency": "c"}, {"search": "tries"}, "--latency: latencies are measured; leave it"),
    ],
)
def test_an_input_that_is_not_read_is_refused(
    params: Params, stage: str, keys: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        recipe(params, stage, keys, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "keys", "options"),
    [
        ("distill", {"data": "a"}, {"method": "finetune"}),
        ("distill", {"data": "a", "teacher-dir": ["b"]}, {"method": "finetune", "student": "heir"}),
        ("distill", {"data": "a", "teacher-dir": ["b"]}, {}),
        ("distill", {**RECORDED, "teacher-dir": ["b"]}, {}),
        ("distill", {**RECORDED, "augmented": "c"}, {"augmentation": "eda"}),
        ("augment", {"data": "a", "teacher-dir": "b"}, {"augmentation": "asked"}),
        ("search", {**RECORDED, "supernet": "c"}, {"search": "net"}),
    ],
)
def test_inputs_that_are_read_are_taken(
    params: Params, stage: str, keys: dict[str, Any], options: dict[str, Any]
) -> None:
    assert recipe(params, stage, keys, **options)["stage"] == stage
