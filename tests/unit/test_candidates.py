"""Models of found architectures: as grids build their students, with as many parameters as the search counts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from tests.unit.layered import inputs

from distilgrid.core.errors import UserError
from distilgrid.models.io import CLASSIFIER, load_model, load_tokenizer, save_model
from distilgrid.models.layered_bert import LayeredBert
from distilgrid.models.student import build_student
from distilgrid.search.architecture import Architecture, LayeredShape, Shape, model_parameters
from distilgrid.search.estimators.mini_kd import candidate_student
from distilgrid.search.estimators.settings import MiniKDSettings
from distilgrid.search.latency_bench import build_shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN, LAYERED = Shape(2, 24, 4, 40, "relu"), LayeredShape((24, 8, 8, 16), (40, 16, 24, 8), 4, "silu")


Inherit = Literal["none", "leading", "importance"]


def candidate(
    architecture: Architecture, origin: Path, *, inherit: Inherit, teacher: Path | None = None, seed: int = 0
) -> "PreTrainedModel":
    settings = MiniKDSettings(inherit=inherit, init="pretrained" if teacher is None else "finetuned")
    student = candidate_student(architecture, settings)
    return build_student(student, origin=origin, teacher=teacher, outputs=3, auto=CLASSIFIER, seed=seed)


@pytest.fixture(scope="module")
def teacher(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with another head and weights moved."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(1)
    model = load_model(tiny_model, outputs=3, auto=CLASSIFIER)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    save_model(model, load_tokenizer(tiny_model), folder)
    return folder


@pytest.mark.parametrize("architecture", [PLAIN, LAYERED, LayeredShape((16,), (8,), 2)])
def test_parameters_are_those_of_the_encoder(architecture: Architecture, tiny_model: Path) -> None:
    built = candidate(architecture, tiny_model, inherit="none")
    for model in (built, build_shape(architecture, vocabulary=50)):
        encoder = model.get_submodule("bert.encoder")
        assert architecture.parameters == sum(values.numel() for values in encoder.parameters())
        assert isinstance(model, LayeredBert) == isinstance(architecture, LayeredShape)
        assert model.config.hidden_act == architecture.as_dict()["activation"] and not model.training


def test_golden_numbers_of_parameters() -> None:
    """Layer 1: 4 (24 * 24 + 24) + 2 * 24 * 40 + 40 + 24 + 4 * 24; projections 24 * 8 + 8 and 8 * 16 + 16."""
    layers = 4480, 4 * 72 + 2 * 8 * 16 + 16 + 40, 4 * 72 + 2 * 8 * 24 + 24 + 40, 4 * 272 + 2 * 16 * 8 + 8 + 80
    assert LAYERED.parameters == sum(layers) + 200 + 144
    assert PLAIN.parameters == 2 * 4480


@pytest.mark.parametrize("architecture", [PLAIN, LAYERED])
@pytest.mark.parametrize("inherit", ["leading", "importance"])
def test_a_candidate_inherits_the_head_of_the_fine_tuned_teacher(
    architecture: Architecture, inherit: Inherit, tiny_model: Path, teacher: Path
) -> None:
    head = load_model(teacher).state_dict()["classifier.bias"]
    for source in (None, teacher):
        model = candidate(architecture, tiny_model, inherit=inherit, teacher=source, seed=5)
        assert torch.equal(model.state_dict()["classifier.bias"], head) == (source is not None)


def test_what_is_not_inherited_is_drawn_from_the_seed(tiny_model: Path) -> None:
    first, again, other = (candidate(LAYERED, tiny_model, inherit="none", seed=seed) for seed in (0, 0, 1))
    given = {name: values % 20 for name, values in inputs().items()}
    given["token_type_ids"].zero_()
    logits = [model(**given).logits for model in (first, again, other)]
    assert torch.equal(logits[0], logits[1]) and not torch.equal(logits[0], logits[2])


@pytest.mark.parametrize("architecture", [Shape(2, 24, 5, 8), LayeredShape((20, 24), (8, 8), 5)])
def test_heads_that_do_not_divide_a_width_are_refused(architecture: Architecture, tiny_model: Path) -> None:
    with pytest.raises(UserError, match=rf"architecture {architecture.name}: 5 heads do not divide width 24"):
        candidate(architecture, tiny_model, inherit="leading")
    with pytest.raises(UserError, match="5 heads do not divide width 24"):
        build_shape(architecture)


@pytest.mark.parametrize("way", ["first", "spread"])
def test_candidates_inherit_the_layers_that_found_students_do(way: Any) -> None:
    student = candidate_student(PLAIN, MiniKDSettings(inherit_layers=way))
    assert (student.inherit, student.inherit_layers) == ("importance", way)


@pytest.mark.parametrize("architecture", [PLAIN, LAYERED], ids=["homogeneous", "layered"])
def test_the_parameters_of_a_model_are_counted_without_building_it(architecture: Architecture) -> None:
    model = build_shape(architecture, vocabulary=50)
    held = sum(weight.numel() for name, weight in model.named_parameters() if not name.startswith("classifier"))
    assert model_parameters(architecture, model.config.to_dict()) == held
