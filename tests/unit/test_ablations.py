"""Ablations found in the settings of a grid's methods."""

from typing import Any

import pytest

from distilgrid.plan.params import parse_params
from distilgrid.reporting.sections import Ablation, find_ablations

Values = dict[str, Any]


def found(values: Values, methods: dict[str, Values], **grid: Any) -> list[Ablation]:
    values = values | {"methods": methods, "grid": values["grid"] | {"methods": list(methods)} | grid}
    return find_ablations(parse_params(values, origin="test"))


def kd(**settings: Any) -> Values:
    return {"objective": "kd", **settings}


def mixkd(beta: float, **settings: Any) -> Values:
    return {"objective": "mixkd", "mixup": {"beta": beta}, **settings}


def test_three_values_of_one_setting_are_an_ablation_in_the_order_of_the_values(tiny_values: Values) -> None:
    methods = {"high": kd(alpha=0.9), "low": kd(alpha=0.1), "default": kd()}
    assert found(tiny_values, methods) == [Ablation("kd", "alpha", {0.1: "low", 0.7: "default", 0.9: "high"})]


def test_two_values_are_none_and_equal_values_count_once(tiny_values: Values) -> None:
    assert found(tiny_values, {"low": kd(alpha=0.1), "default": kd()}) == []
    assert found(tiny_values, {"low": kd(alpha=0.1), "default": kd(), "again": kd(alpha=0.7)}) == []


def test_nested_settings_are_found(tiny_values: Values) -> None:
    methods = {f"beta-{beta}": mixkd(beta) for beta in (1.0, 0.4, 0.1)}
    (ablation,) = found(tiny_values, methods)
    assert (ablation.objective, ablation.setting) == ("mixkd", "mixup.beta")
    assert list(ablation.methods.items()) == [(0.1, "beta-0.1"), (0.4, "beta-0.4"), (1.0, "beta-1.0")]


@pytest.mark.parametrize(
    "other",
    [
        {"alpha": 0.9, "temperature": 2},
        {"alpha": 0.9, "loss": "mse"},
        {"alpha": 0.9, "training": {"epochs": 7}},
    ],
)
def test_a_method_that_differs_in_something_else_too_is_left_out(tiny_values: Values, other: Values) -> None:
    methods = {"low": kd(alpha=0.1), "default": kd(), "other": kd(**other)}
    assert found(tiny_values, methods) == []
    (ablation,) = found(tiny_values, methods | {"middle": kd(alpha=0.5)})
    assert list(ablation.methods.values()) == ["low", "middle", "default"]


def test_the_centre_of_a_star_belongs_to_each_arm(tiny_values: Values) -> None:
    arms = {f"alpha-{alpha}": kd(alpha=alpha) for alpha in (0.1, 0.5)}
    arms |= {f"t-{t}": kd(temperature=t) for t in (1.0, 8.0)}
    ablations = {a.setting: list(a.methods.values()) for a in found(tiny_values, {"centre": kd(), **arms})}
    assert ablations == {"alpha": ["alpha-0.1", "alpha-0.5", "centre"], "temperature": ["t-1.0", "centre", "t-8.0"]}


def test_a_grid_of_two_settings_is_an_ablation_for_each_value_of_the_other(tiny_values: Values) -> None:
    methods = {f"{a}-{t}": kd(alpha=a, temperature=t) for a in (0.1, 0.5, 0.9) for t in (1.0, 2.0)}
    ablations = found(tiny_values, methods)
    assert [(a.setting, list(a.methods.values())) for a in ablations] == [
        ("alpha", ["0.1-1.0", "0.5-1.0", "0.9-1.0"]),
        ("alpha", ["0.1-2.0", "0.5-2.0", "0.9-2.0"]),
    ]


def test_training_settings_count_as_the_method_is_trained_with_them(tiny_values: Values) -> None:
    methods = {"shared": kd(), **{f"e{n}": kd(training={"epochs": n}) for n in (2, 4)}}
    (ablation,) = found(tiny_values, methods)
    assert (ablation.setting, ablation.methods) == ("training.epochs", {1: "shared", 2: "e2", 4: "e4"})


def test_where_the_teacher_runs_does_not_count(tiny_values: Values) -> None:
    methods = {"low": kd(alpha=0.1, teacher="live"), "default": kd(), "high": kd(alpha=0.9)}
    assert [a.setting for a in found(tiny_values, methods)] == ["alpha"]


def test_other_objectives_and_settings_that_are_no_numbers_make_none(tiny_values: Values) -> None:
    methods = {"a": kd(alpha=0.1), "b": {"objective": "pkd", "alpha": 0.5}, "c": kd(alpha=0.9)}
    assert found(tiny_values, methods) == []
    words = {
        "mse": mixkd(0.4),
        "kl": mixkd(0.4, distance="kl"),
        "plain": mixkd(0.4, training={"engine": "plain"}),
        "off": mixkd(0.4, training={"patience": None}),
        "on": mixkd(0.4, training={"patience": 2}),
    }
    assert found(tiny_values, words, baselines=[]) == []
