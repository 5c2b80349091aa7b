"""PKD's defaults are those of the authors' code, in the preset, the default grid and the grid of the paper's table.

github.com/intersun/PKD-for-BERT-Model-Compression: KD at learning rate 2e-5; with the patience loss alpha 0.7, beta 500
at width 768, T 10 and learning rate 1e-5; 4 epochs of batches of 32.
"""

from pathlib import Path
from typing import Any

import pytest

from distilgrid.core.planned import Artefact
from distilgrid.methods.pkd.declare import PKD
from distilgrid.methods.registry import presets
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params, parse_params

ROOT = Path(__file__).parents[2]
RECIPE = {"alpha": 0.7, "temperature": 10.0, "layers": "skip"}


def planned(values: dict[str, Any]) -> list[Artefact]:
    return expand(parse_params(values, origin="tiny.yaml")).students


def rates(values: dict[str, Any]) -> dict[str, set[float]]:
    """Learning rates of all cells, by method, as their recipes have them."""
    found: dict[str, set[float]] = {}
    for student in planned(values):
        found.setdefault(student.labels["method"], set()).add(student.recipe["training"]["learning_rate"])
    return found


@pytest.mark.parametrize("overlay", [None, "mixkd.yaml", "mixkd_mini.yaml"])
def test_the_recipe_decides_in_the_preset_and_in_grids(overlay: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = load_params(["params.yaml", *([f"grids/{overlay}"] if overlay else [])])
    for method in (presets()["pkd"], params.methods["pkd"]):
        assert isinstance(method, PKD) and method == PKD()
        assert {name: getattr(method, name) for name in RECIPE} == RECIPE
        assert method.beta == pytest.approx(500 / 768, abs=2e-3)
    kd, pkd = (params.methods[name].trained(params.training).learning_rate for name in ("kd", "pkd"))
    assert pkd == kd * 1e-5 / 2e-5
    if overlay == "mixkd.yaml":
        assert (kd, pkd) == (2e-5, 1e-5)


def test_cells_train_with_half_the_rate_of_their_student(tiny_values: dict[str, Any]) -> None:
    tiny_values["methods"]["pkd"] = {"objective": "pkd"}
    tiny_values["training"]["learning_rate"] = 2e-5
    assert rates(tiny_values) == {"finetune": {2e-5}, "kd": {2e-5}, "pkd": {1e-5}}
    for student in tiny_values["students"].values():
        student["training"] = {"learning_rate": 4e-3}
    assert rates(tiny_values) == {"finetune": {4e-3}, "kd": {4e-3}, "pkd": {2e-3}}


def test_a_rate_of_the_methods_own_is_taken_as_it_is(tiny_values: dict[str, Any]) -> None:
    tiny_values["methods"]["pkd"] = {"objective": "pkd", "training": {"learning_rate": 3e-4}}
    assert rates(tiny_values)["pkd"] == {3e-4}


def test_the_factor_is_in_the_recipe_by_the_rate_alone(tiny_values: dict[str, Any]) -> None:
    """A method that names its rate keeps its results when the factor changes."""
    given = {"objective": "pkd", "training": {"learning_rate": 3e-4}}
    tiny_values["methods"]["pkd"] = given
    before = {student.folder for student in planned(tiny_values)}
    tiny_values["methods"]["pkd"] = given | {"learning_rate_factor": 0.25}
    assert {student.folder for student in planned(tiny_values)} == before
