"""P-values against the normal distribution's, Holm's correction against worked values and by its false alarms."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.fabricate import fabricate_results

from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.reporting.intervals import holm, two_sided
from distilgrid.reporting.tables import main_table
from distilgrid.stages.report import run as data
from distilgrid.stages.report.page import outcomes


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    plan, results = fabricate_results(tmp_path_factory.mktemp("significance"))
    return find(collect(plan, results))


@pytest.mark.parametrize("shift", [-2.5, -1.0, 0.0, 0.5, 1.0, 2.0])
def test_a_p_value_is_that_of_the_distribution_that_was_resampled(shift: float) -> None:
    resampled = np.random.default_rng(0).normal(loc=shift, size=200_000)
    expected = math.erfc(abs(shift) / math.sqrt(2))
    assert two_sided(resampled) == pytest.approx(expected, rel=0.03, abs=0.001)


def test_no_p_value_is_zero_or_above_one() -> None:
    assert two_sided(np.ones(1999)) == pytest.approx(2 / 2000)
    assert two_sided(np.zeros(50)) == 1.0, "all resamples equal: no difference"


def test_worked_example() -> None:
    """R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_false_alarms_among_many_comparisons_are_as_rare_as_asked() -> None:
    """Twenty comparisons of equals, a thousand times."""
    chance = np.random.default_rng(1).random((1000, 20))
    alarms = [min(holm(dict(enumerate(row))).values()) <= 0.05 for row in chance]
    assert (chance.min(axis=1) <= 0.05).mean() > 0.5, "without correction most families have one"
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.02)


def test_a_star_stands_where_the_corrected_value_is_small_enough(findings: Findings) -> None:
    keys = list(findings.differences)
    changed = {key: replace(found, adjusted=0.2) for key, found in findings.differences.items()}
    changed[keys[0]] = replace(changed[keys[0]], adjusted=0.01)
    told = main_table(replace(findings, differences=changed), findings.tasks[0])
    column = next(n for n, c in enumerate(told.columns) if c.title.startswith("vs."))
    assert sum(row[column].text.endswith("*") for row in told.rows) == 1
    assert f"after Holm's correction for {len(keys)} comparisons" in told.caption


def test_the_table_of_numbers_has_both_values(findings: Findings) -> None:
    frame = data.table(findings)
    compared = frame[frame["difference"].notna()]
    assert len(compared) == len(findings.differences)
    assert (compared["p_holm"] >= compared["p"]).all()
    assert compared["p"].between(0, 1).all()


def test_the_outcome_counts_what_the_correction_leaves(findings: Findings) -> None:
    sure = {key: replace(found, value=0.05, low=0.02, adjusted=0.2) for key, found in findings.differences.items()}
    (said, *_) = outcomes(replace(findings, differences=sure))
    assert "in 0 after Holm's correction" in said.comparison


def test_clear_differences_of_many_rows_survive(tmp_path: Path) -> None:
    plan, results = fabricate_results(tmp_path, overlay={"report": {"bootstrap_samples": 2000}})
    found = find(collect(plan, results))
    assert any(found.is_sure(line) for line in found.lines)
