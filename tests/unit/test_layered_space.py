"""Spaces whose layers differ: what they hold against brute force, how they are drawn from, what is refused."""

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from distilgrid.core.errors import UserError
from distilgrid.search.architecture import LayeredShape, Shape, read_architecture
from distilgrid.search.decisions import SearchSpace, Untried
from distilgrid.search.layered_space import LayeredSpace
from distilgrid.search.space import AnySpace, Space, load_space

VALUES: dict[str, Any] = {
    "blocks": [1, 3],
    "hidden": [12, 8],
    "feed_forward": [16, 8],
    "heads": [2, 3],
    "activation": ["gelu", "relu"],
}
LIMIT = 2400


def parameters_by_hand(shape: LayeredShape) -> int:
    total, before = 0, shape.hidden[0]
    for width, ff in zip(shape.hidden, shape.feed_forward, strict=True):
        total += (before * width + width) if before != width else 0  # projection
        total += 4 * (width * width + width) + 2 * 2 * width  # query, key, value, output; two layer norms
        total += (width * ff + ff) + (ff * width + width)
        before = width
    return total


def brute_force(limit: float = float("inf")) -> set[LayeredShape]:
    found = set()
    for blocks in VALUES["blocks"]:
        for hidden in product(VALUES["hidden"], repeat=blocks):
            for ff in product(VALUES["feed_forward"], repeat=blocks):
                for heads, activation in product(VALUES["heads"], VALUES["activation"]):
                    shape = LayeredShape(hidden, ff, heads, activation)
                    if all(width % heads == 0 for width in hidden) and parameters_by_hand(shape) <= limit:
                        found.add(shape)
    return found


def members(space: SearchSpace, places: tuple[int, ...] = ()) -> list[Any]:
    choice = space.next_choice(places)
    if choice is None:
        return [space.decode(places)]
    assert choice.allowed, f"nothing can follow {places}"
    return [shape for place in choice.allowed for shape in members(space, (*places, place))]


def both(limit: int | None) -> list[SearchSpace]:
    lists = {"layers": [1, 2], "hidden": [8, 12], "heads": [3, 2], "feed_forward": [16, 32]}
    return [LayeredSpace(**VALUES, max_parameters=limit), Space(**lists, max_parameters=limit)]


@pytest.mark.parametrize("limit", [None, LIMIT, 1300])
def test_decisions_lead_to_every_member_once(limit: int | None) -> None:
    expected = brute_force(limit or float("inf"))
    layered, homogeneous = both(limit)
    found = members(layered)
    assert len(found) == len(set(found)) == len(expected) and set(found) == expected
    assert layered.size == len(brute_force()) and layered.counted == (limit is None)
    assert sorted(members(homogeneous)) == sorted(homogeneous.sample(1000, seed=0))


def test_the_limit_leaves_some_and_not_all() -> None:
    assert 0 < len(brute_force(1300)) < len(brute_force(LIMIT)) < len(brute_force())


def test_parameters_count_layers_and_projections() -> None:
    assert all(shape.parameters == parameters_by_hand(shape) for shape in brute_force())
    assert LayeredShape((8, 8), (16, 16), 2).parameters == Shape(2, 8, 2, 16).parameters


def test_a_space_too_large_to_list_is_counted_and_drawn_from() -> None:
    sizes = {"hidden": [192, 384, 576, 768], "feed_forward": [384, 768, 1536, 3072]}
    whole = LayeredSpace(blocks=[12], heads=[12], **sizes)
    assert whole.size == 16**12
    limited = LayeredSpace(blocks=[12], heads=[12], **sizes, max_parameters=30_000_000)
    drawn = limited.sample(20, seed=0)
    assert len(set(drawn)) == 20 and all(limited.allows(shape) for shape in drawn)


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_places_lead_back_to_the_architecture(limit: int | None) -> None:
    for space in both(limit):
        assert all(space.decode(space.encode(shape)) == shape for shape in members(space))
    with pytest.raises(ValueError, match="not in tuple"):
        both(None)[0].encode(LayeredShape((8, 8), (8, 8), 2))


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_draws_are_seeded_members_and_untried_ones_never_repeat(limit: int | None) -> None:
    for space in both(limit):
        held = set(members(space))
        assert {Untried(space, random.Random(seed)).draw() for seed in range(10)} <= held
        assert Untried(space, random.Random(1)).draw() == Untried(space, random.Random(1)).draw()
        untried = Untried(space, random.Random(3))
        taken = min(held)
        untried.take(taken)
        drawn = untried.several(10_000)
        assert len(drawn) == len(set(drawn)) and set(drawn) == held - {taken}
        assert untried.draw() is None
        assert space.sample(5, seed=1) == space.sample(5, seed=1) != space.sample(5, seed=2)


def test_each_decision_is_drawn_uniformly() -> None:
    space = LayeredSpace(**VALUES)
    drawn = [Untried(space, random.Random(seed)).draw() for seed in range(400)]
    assert 160 < sum(shape.layers == 1 for shape in drawn) < 240  # though most members have 3 blocks


def test_neighbours_differ_in_one_choice() -> None:
    space = LayeredSpace(**VALUES)
    found = set(space.neighbours(LayeredShape((12, 12, 12), (8, 8, 16), 3)))
    changed_ff = {(16, 8, 16), (8, 16, 16), (8, 8, 8)}
    expected = {LayeredShape((12, 12, 12), ff, 3) for ff in changed_ff}  # width 8 has no 3 heads
    expected |= {LayeredShape((12,), (8,), 3), LayeredShape((12, 12, 12), (8, 8, 16), 2)}
    assert found == expected | {LayeredShape((12, 12, 12), (8, 8, 16), 3, "relu")}
    deeper = LayeredShape((8, 8, 8), (16, 16, 16), 2)
    assert deeper in set(space.neighbours(LayeredShape((8,), (16,), 2)))
    small = LayeredSpace(**VALUES, max_parameters=LIMIT)
    assert all(small.allows(other) for shape in members(small) for other in small.neighbours(shape))


@pytest.mark.parametrize("shape", [Shape(2, 8, 2, 16, "relu"), LayeredShape((8, 12), (16, 8), 2)])
def test_an_architecture_comes_back_from_its_plain_values(shape: Shape | LayeredShape) -> None:
    assert read_architecture(json.loads(json.dumps(shape.as_dict()))) == shape
    with pytest.raises(ValueError, match="choices"):
        read_architecture({**shape.as_dict(), "width": 8})


def test_names_are_those_of_their_sizes() -> None:
    assert LayeredShape((384, 192), (1536, 768), 12).name == "2B-384.1536-192.768-12A-gelu"
    assert len({shape.name for shape in brute_force()}) == len(brute_force())


def write(folder: Path, text: str) -> Path:
    (folder / "space.yaml").write_text(text)
    return folder / "space.yaml"


LAYERED = "kind: layered\nblocks: [2]\nhidden: [8]\nfeed_forward: [8]\n"


def test_a_file_says_which_kind_it_is(tmp_path: Path) -> None:
    assert load_space(write(tmp_path, LAYERED + "heads: [2]\n")).size == 1
    homogeneous = load_space(
        write(tmp_path, "kind: homogeneous\nlayers: [1]\nhidden: [8]\nheads: [2]\nfeed_forward: [8]\n")
    )
    assert isinstance(homogeneous, Space) and "kind" not in homogeneous.model_dump()
    adapter: TypeAdapter[Any] = TypeAdapter(AnySpace)
    for space in both(LIMIT):
        assert adapter.validate_python(space.model_dump()) == space  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAYERED + "heads: [3]\n", "no number of heads divides"),
        (LAYERED + "heads: [2]\nmax_parameters: 900\n", "max_parameters is 900, the smallest has 928"),
        (LAYERED + "heads: [2, 2]\n", "heads must list each value once"),
        (LAYERED + "head: [2]\n", "did you mean 'heads'"),
        ("kind: layerd\n", "did you mean 'layered'"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_key(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"space\.yaml: .*{problem}"):
        load_space(write(tmp_path, text))
