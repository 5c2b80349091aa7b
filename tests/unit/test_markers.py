"""Each test is `unit` or `chain`."""

from pathlib import Path

import pytest
from tests.markers import marker_of


@pytest.mark.parametrize(
    ("file", "fixtures", "marker"),
    [
        ("unit/test_space.py", ("tmp_path",), "unit"),
        ("golden/test_losses.py", (), "unit"),
        ("unit/test_benchmark.py", ("run_benchmark", "chain"), "chain"),
        ("end_to_end/test_grid.py", (), "chain"),
        ("workflow/test_dag.py", (), "chain"),
    ],
)
def test_a_marker_follows_from_folder_and_fixtures(file: str, fixtures: tuple[str, ...], marker: str) -> None:
    assert marker_of(Path(__file__).parents[1] / file, fixtures) == marker
