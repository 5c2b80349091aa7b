"""What students of a shape of their own inherit: checked against loops over the origin's weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.layered import bert, inputs
from torch import Tensor
from transformers import AutoModel, DistilBertConfig

from distilgrid.core.errors import UserError
from distilgrid.models.io import CLASSIFIER, load_model, save_model
from distilgrid.models.settings import Student
from distilgrid.models.shapes import spread_layers
from distilgrid.models.student import build_student

State = dict[str, Tensor]
LAYER = "bert.encoder.layer.{}."


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 4 layers, width 32, 4 heads, feed-forward width 48, whose layer norms scale units differently."""
    folder = tmp_path_factory.mktemp("origin")
    save_model(bert(num_hidden_layers=4), None, folder)
    return folder


def build(origin: Path, shape: dict[str, Any], **settings: Any) -> State:
    student = Student(architecture=shape, init="finetuned", **settings)  # type: ignore[arg-type]
    model = build_student(student, origin=origin, teacher=origin, outputs=3, auto=CLASSIFIER, seed=7)
    return dict(model.state_dict())


def largest(values: list[float], count: int) -> list[int]:
    """Places of the largest values, in ascending order."""
    return sorted(sorted(range(len(values)), key=lambda place: -values[place])[:count])


def hidden_scores(weights: State, layers: int) -> list[float]:
    """For each hidden unit, how strongly layers read it, as each layer norm scales it."""
    scores = []
    for unit in range(32):
        total, scale = 0.0, float(weights["bert.embeddings.LayerNorm.weight"][unit])
        for number in range(layers):
            below = LAYER.format(number)
            for name in ("query", "key", "value"):
                total += float((scale * weights[f"{below}attention.self.{name}.weight"][:, unit]).square().sum())
            scale = float(weights[f"{below}attention.output.LayerNorm.weight"][unit])
            total += float((scale * weights[f"{below}intermediate.dense.weight"][:, unit]).square().sum())
            scale = float(weights[f"{below}output.LayerNorm.weight"][unit])
        scores.append(total**0.5)
    return scores


def head_units(weights: State, layer: str, *, heads: int, width: int) -> tuple[list[int], list[int]]:
    """Rows of queries and keys, and of values, that a student with as many heads keeps."""
    out = weights[f"{layer}attention.output.dense.weight"]
    query, key = (weights[f"{layer}attention.self.{name}.weight"] for name in ("query", "key"))
    chosen = largest([float(out[:, 8 * head : 8 * head + 8].norm()) for head in range(4)], heads)
    scoring, passing = [], []
    for head in chosen:
        rows = range(8 * head, 8 * head + 8)
        scoring += [8 * head + n for n in largest([float(query[r].norm() * key[r].norm()) for r in rows], width)]
        passing += [8 * head + n for n in largest([float(out[:, r].norm()) for r in rows], width)]
    return scoring, passing


def check_layer(student: State, number: int, weights: State, source: int, hidden: list[int], heads: int) -> None:
    mine, its = LAYER.format(number), LAYER.format(source)
    width = len(hidden) // heads
    scoring, passing = head_units(weights, its, heads=heads, width=width)
    inner = weights[f"{its}output.dense.weight"]
    count = len(student[f"{mine}intermediate.dense.bias"])
    feed_forward = largest([float(inner[:, unit].norm()) for unit in range(48)], count)
    rows = {
        "attention.self.query": (scoring, hidden),
        "attention.self.key": (scoring, hidden),
        "attention.self.value": (passing, hidden),
        "attention.output.dense": (hidden, passing),
        "intermediate.dense": (feed_forward, hidden),
        "output.dense": (hidden, feed_forward),
    }
    for name, (first, second) in rows.items():
        assert torch.equal(student[f"{mine}{name}.weight"], weights[f"{its}{name}.weight"][first][:, second]), name
        assert torch.equal(student[f"{mine}{name}.bias"], weights[f"{its}{name}.bias"][first]), name
    for name in ("attention.output.LayerNorm.weight", "output.LayerNorm.bias"):
        assert torch.equal(student[mine + name], weights[its + name][hidden])


def test_the_most_important_parts_are_kept(origin: Path) -> None:
    weights = load_model(origin).state_dict()
    shape = {"num_hidden_layers": 2, "hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20}
    student = build(origin, shape, inherit="importance")
    hidden = largest(hidden_scores(weights, 2), 12)
    assert hidden != list(range(12))
    for number in range(2):
        check_layer(student, number, weights, number, hidden, 3)
    words = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(student[words], weights[words][:, hidden])
    pooler = "bert.pooler.dense.weight"
    assert torch.equal(student[pooler], weights[pooler][hidden][:, hidden])
    assert torch.equal(student["classifier.weight"], weights["classifier.weight"][:, hidden])
    assert torch.equal(student["classifier.bias"], weights["classifier.bias"])


def test_layers_of_different_widths_share_one_order_of_units(origin: Path) -> None:
    weights = load_model(origin).state_dict()
    shape = {"hidden_sizes": [24, 8, 8, 16], "intermediate_sizes": [16, 8, 40, 8], "num_attention_heads": 4}
    student = build(origin, shape, inherit="importance")
    scores = hidden_scores(weights, 4)
    kept = [largest(scores, width) for width in (24, 8, 8, 16)]
    for number in range(4):
        check_layer(student, number, weights, number, kept[number], 4)
    for number in (1, 3):
        expected = [[float(a == b) for b in kept[number - 1]] for a in kept[number]]
        assert student[LAYER.format(number) + "projection.weight"].tolist() == expected
        assert not student[LAYER.format(number) + "projection.bias"].any()
    assert LAYER.format(2) + "projection.weight" not in student


def test_leading_projections_pass_the_leading_units_on(origin: Path) -> None:
    weights = load_model(origin).state_dict()
    shape = {"hidden_sizes": [24, 8, 40], "intermediate_sizes": [16, 8, 40]}
    student = build(origin, shape)
    for number, (before, after) in ((1, (24, 8)), (2, (8, 40))):
        projection = student[LAYER.format(number) + "projection.weight"]
        assert torch.equal(projection, torch.eye(after, before))
    name = LAYER.format(1) + "output.dense.weight"
    assert torch.equal(student[name], weights[name][:8, :8])


@torch.no_grad()
@pytest.mark.parametrize("shape", [{"hidden_sizes": [32] * 4, "intermediate_sizes": [48] * 4}, {"hidden_size": 32}])
@pytest.mark.parametrize("inherit", ["importance", "leading"])
def test_the_origins_own_shape_is_the_origin(shape: dict[str, Any], inherit: str, origin: Path) -> None:
    student = Student(architecture=shape, init="finetuned", inherit=inherit)  # type: ignore[arg-type]
    model = build_student(student, origin=origin, teacher=origin, outputs=3, auto=CLASSIFIER, seed=0)
    given = inputs()
    assert torch.equal(model(**given).logits, load_model(origin)(**given).logits)


@torch.no_grad()
def test_wider_heads_are_filled_with_further_ones(origin: Path) -> None:
    """As many units as the origin's in half as many heads: each is two of the origin's, none is lost."""
    weights = load_model(origin).state_dict()
    student = build(origin, {"num_attention_heads": 2}, inherit="importance")
    name = LAYER.format(0) + "attention.self.value.weight"
    out = weights[LAYER.format(0) + "attention.output.dense.weight"]
    scores = [float(out[:, 8 * head : 8 * head + 8].norm()) for head in range(4)]
    first = largest(scores, 2)
    others = sorted(set(range(4)) - set(first), key=lambda head: -scores[head])
    expected = [weights[name][8 * head : 8 * head + 8] for head in (first[0], others[0], first[1], others[1])]
    assert torch.equal(student[name], torch.cat(expected))


def test_what_the_origin_has_not_is_drawn_from_the_seed(origin: Path) -> None:
    weights = load_model(origin).state_dict()
    shape = {"num_hidden_layers": 5, "hidden_size": 40, "num_attention_heads": 5, "intermediate_size": 64}
    student, again = (build(origin, shape, inherit="importance") for _ in range(2))
    assert all(torch.equal(student[name], again[name]) for name in student)
    name = LAYER.format(3) + "intermediate.dense.weight"
    assert torch.equal(student[name][:48, :32], weights[name])
    assert student[name][48:].std() > 0.01 and student[LAYER.format(4) + "output.dense.weight"].std() > 0.01


def test_layers_are_the_first_or_spread(origin: Path) -> None:
    weights = load_model(origin).state_dict()
    for settings, sources in (({}, [0, 1]), ({"inherit_layers": "spread"}, [1, 3])):
        student = build(origin, {"num_hidden_layers": 2}, **settings)
        important = build(origin, {"num_hidden_layers": 2}, inherit="importance", **settings)
        for number, source in enumerate(sources):
            name = "intermediate.dense.weight"
            assert torch.equal(student[LAYER.format(number) + name], weights[LAYER.format(source) + name])
            assert torch.equal(important[LAYER.format(number) + name], weights[LAYER.format(source) + name])
    assert [spread_layers(count, depth=6) for count in (1, 2, 3, 4, 6, 8)] == [
        [5],
        [2, 5],
        [1, 3, 5],
        [0, 2, 3, 5],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
    ]


def test_activations_are_the_students(origin: Path) -> None:
    for shape in ({"hidden_act": "relu"}, {"hidden_act": "relu", "hidden_sizes": [8], "intermediate_sizes": [8]}):
        student = Student(architecture=shape)  # type: ignore[arg-type]
        model = build_student(student, origin=origin, teacher=None, outputs=3, auto=CLASSIFIER, seed=0)
        assert model.config.hidden_act == "relu"
        assert isinstance(model.bert.encoder.layer[0].intermediate.intermediate_act_fn, torch.nn.ReLU)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"architecture": {"hidden_sizes": [16, 8]}}, "give hidden_sizes and intermediate_sizes together"),
        ({"architecture": {"hidden_sizes": [16, 8], "intermediate_sizes": [8]}}, "2 hidden_sizes and 1 intermediate"),
        (
            {"architecture": {"hidden_sizes": [16], "intermediate_sizes": [8], "hidden_size": 8}},
            "hidden_size is for layers of equal widths",
        ),
        (
            {"architecture": {"hidden_sizes": [16, 12], "intermediate_sizes": [8, 8], "num_attention_heads": 8}},
            "hidden_sizes: 12 is not a multiple of num_attention_heads 8",
        ),
        ({"layers": 2, "inherit": "importance"}, "inherit and inherit_layers belong to an architecture"),
        ({"architecture": {"hidden_size": 8}, "init": "scratch", "inherit_layers": "spread"}, "belong to an architect"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Student(**settings)


def test_origins_that_do_not_fit_are_refused(origin: Path, tmp_path: Path) -> None:
    sizes = {"vocab_size": 40, "max_position_embeddings": 32}
    AutoModel.from_config(DistilBertConfig(dim=32, n_heads=4, n_layers=2, hidden_dim=64, **sizes)).save_pretrained(
        tmp_path / "distilbert"
    )
    shape: dict[str, Any] = {"hidden_sizes": [16, 8], "intermediate_sizes": [8, 8]}
    uneven = Student(architecture={**shape, "hidden_sizes": [16, 10]})  # type: ignore[arg-type]
    cases = [
        (tmp_path / "distilbert", Student(architecture=shape), "hidden_sizes need a 'bert' as origin"),  # type: ignore[arg-type]
        (
            tmp_path / "distilbert",
            Student(architecture={"hidden_size": 16}, inherit="importance"),  # type: ignore[arg-type]
            "importance knows BERT's weights, and not those of a 'distilbert'",
        ),
        (origin, uneven, "10 of hidden_sizes is not a multiple of num_attention_heads 4"),
    ]
    layered = build_student(
        Student(architecture=shape),
        origin=origin,
        teacher=None,
        outputs=3,
        auto=CLASSIFIER,
        seed=0,
    )  # type: ignore[arg-type]
    save_model(layered, None, tmp_path / "layered")
    cases.append((tmp_path / "layered", Student(layers=1), "layers differ in width"))
    for folder, student, said in cases:
        with pytest.raises(UserError, match=said):
            build_student(student, origin=folder, teacher=None, outputs=3, auto=CLASSIFIER, seed=0)
