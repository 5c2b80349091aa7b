"""The MixKD grids: each comparison of tmkd with kd has its controls, and the claims name them."""

from pathlib import Path

import pytest
import yaml

from distilgrid.methods.kd.declare import KD
from distilgrid.methods.mixkd.declare import MixKD
from distilgrid.plan.params import Params, effective_training, find_method, load_params
from distilgrid.reporting.claims.file import load_claims

ROOT = Path(__file__).parents[2]
GRIDS = sorted(path.name for path in (ROOT / "grids").glob("mixkd*.yaml") if "claims" not in path.name)
TIMES = 2.27  # a tmkd student trains as much longer than a kd student of equal epochs


@pytest.fixture(params=GRIDS)
def params(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(ROOT)
    return load_params(["params.yaml", f"grids/{request.param}"])


def test_each_grid_has_both_controls(params: Params) -> None:
    assert {"tmkd", "l-kd", "kd-equal-compute"} <= set(params.grid.methods)
    tmkd, control = (find_method(params, name) for name in ("tmkd", "l-kd"))
    assert isinstance(tmkd, MixKD) and isinstance(control, MixKD)
    assert control == tmkd.model_copy(update={"alpha_tmkd": 0.0, "alpha_kd": tmkd.alpha_tmkd}), "nothing else differs"
    assert control.mixing is None
    kd, longer = (find_method(params, name) for name in ("kd", "kd-equal-compute"))
    assert isinstance(kd, KD) and longer.model_copy(update={"training": kd.training}) == kd
    epochs = [effective_training(params, method.training, {}).epochs for method in (longer, tmkd)]
    assert epochs[0] == round(TIMES * epochs[1])


def test_the_claims_of_each_grid_compare_with_the_controls(params: Params) -> None:
    claims = load_claims("grids/mixkd.claims.yaml", params=params).claims
    compared = {(c.better.method, c.worse.method, c.better.fraction) for c in claims}
    for fraction in (0.01, 0.1, 1.0):
        for control in ("l-kd", "kd-equal-compute"):
            assert ("tmkd", control, fraction) in compared
    assert {("sm-tmkd", "tmkd-0", 1.0), ("kd-1", "sm-tmkd", 1.0)} <= compared
    assert params.report.claims == "grids/mixkd.claims.yaml"


def test_the_claims_say_which_are_not_the_papers() -> None:
    listed = yaml.safe_load((ROOT / "grids" / "mixkd.claims.yaml").read_text())["claims"]
    controls = [c for c in listed if {c["better"]["method"], c["worse"]["method"]} & {"l-kd", "kd-equal-compute"}]
    assert len(controls) == 6
    assert all(c["certainty"] == "unknown" and "control of this project" in c["source"] for c in controls)
