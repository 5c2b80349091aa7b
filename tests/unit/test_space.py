"""Search spaces: what they hold, how they are drawn from, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from distilgrid.core.errors import UserError
from distilgrid.search.architecture import Shape
from distilgrid.search.latency_bench import build_shape
from distilgrid.search.space import Space, load_space

VALUES: dict[str, Any] = {"layers": [1, 2], "hidden": [8, 12], "heads": [2, 3], "feed_forward": [16, 32]}


@pytest.fixture
def space() -> Space:
    return Space(**VALUES)


def test_a_space_holds_every_combination_whose_heads_divide_its_width(space: Space) -> None:
    assert len(space.shapes) == len(set(space.shapes)) == 2 * 2 * 3  # width 8 takes 2 heads, width 12 takes 2 or 3
    assert all(shape.hidden % shape.heads == 0 for shape in space.shapes)


def test_parameters_are_those_of_the_model(space: Space) -> None:
    for shape in space.shapes[:3]:
        layers = build_shape(shape, vocabulary=50).bert.encoder
        assert shape.parameters == sum(values.numel() for values in layers.parameters())


def test_a_limit_on_parameters_leaves_smaller_shapes(space: Space) -> None:
    limit = sorted(shape.parameters for shape in space.shapes)[5]
    small = Space(**VALUES, max_parameters=limit)
    assert set(small.shapes) == {shape for shape in space.shapes if shape.parameters <= limit}


def test_samples_are_seeded_and_without_repetition(space: Space) -> None:
    drawn = space.sample(7, seed=1)
    assert drawn == space.sample(7, seed=1) != space.sample(7, seed=2)
    assert len(set(drawn)) == 7 and set(drawn) <= set(space.shapes)
    assert sorted(space.sample(100, seed=1)) == sorted(space.shapes)


def test_neighbours_differ_in_one_choice(space: Space) -> None:
    shape = Shape(1, 12, 3, 16)
    expected = {Shape(2, 12, 3, 16), Shape(1, 12, 2, 16), Shape(1, 12, 3, 32)}  # width 8 has no 3 heads
    assert set(space.neighbours(shape)) == expected


def test_places_lead_back_to_the_shape(space: Space) -> None:
    assert {space.decode(space.encode(shape)) for shape in space.shapes} == set(space.shapes)
    with pytest.raises(ValueError, match="not in tuple"):
        space.encode(Shape(3, 8, 2, 16))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("layers: [1]\nhidden: [8]\nheads: [3]\nfeed_forward: [8]\n", "no shape is left"),
        ("layers: []\nhidden: [8]\nheads: [2]\nfeed_forward: [8]\n", "layers"),
        ("layer: [1]\nhidden: [8]\nheads: [2]\nfeed_forward: [8]\n", "did you mean 'layers'"),
        ("layers: [1, 1]\nhidden: [8]\nheads: [2]\nfeed_forward: [8]\n", "each value once"),
        ("layers: [1\n", "not valid YAML"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_key(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"space\.yaml: .*{problem}"):
        load_space(tmp_path / "space.yaml")


def test_the_space_of_the_project_is_one() -> None:
    assert len(load_space(Path(__file__).parents[2] / "grids/spaces/minilm.yaml").shapes) > 500
