"""Image models: shapes and counts as published, weights from a seed, saving and loading, what is refused."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from distilgrid.core.errors import UserError
from distilgrid.models.image_model import ImageModel
from distilgrid.models.io import CLASSIFIER, count_parameters, load_model, save_model
from distilgrid.models.new import create_model
from distilgrid.models.resnet import Subsampling
from distilgrid.models.source import is_new, model_folder, model_revision
from distilgrid.tasks.kinds.image.rows import ImageShape

CIFAR = ImageShape(32, 32, 3, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
DIGITS = ImageShape(8, 8, 1, (0.3,), (0.4,))


def create(name: str, *, outputs: int = 10, image: ImageShape = CIFAR, seed: int = 0) -> ImageModel:
    model = create_model(f"new:{name}", outputs=outputs, image=image, seed=seed)
    assert isinstance(model, ImageModel)
    return model


def pixels(count: int, image: ImageShape = CIFAR, *, seed: int = 0) -> Tensor:
    shape = (count, image.height, image.width, image.channels)
    drawn = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


def logits(model: ImageModel, images: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(images).logits
    return found


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# He et al. 2015, table 6 (0.27M to 1.7M), to the last weight as in public implementations of either shortcut.
@pytest.mark.parametrize(
    ("name", "outputs", "parameters"),
    [
        ("resnet-8", 10, 75_290),
        ("resnet-20", 10, 269_722),
        ("resnet-32", 10, 464_154),
        ("resnet-44", 10, 658_586),
        ("resnet-56", 10, 853_018),
        ("resnet-110", 10, 1_727_962),
        ("resnet-8-b", 10, 78_042),
        ("resnet-20-b", 10, 272_474),
        ("resnet-8", 100, 81_140),
    ],
)
def test_resnets_have_the_published_number_of_weights(name: str, outputs: int, parameters: int) -> None:
    assert count_parameters(create(name, outputs=outputs)) == parameters


@pytest.mark.parametrize(
    ("depth", "outputs", "convolutions", "dense"),
    [
        (2, 10, [16, 16], [16 * 8 * 8, 10]),
        (4, 10, [16, 16, 32, 32], [32 * 8 * 8, 10]),
        (6, 10, [16, 16, 32, 32, 64, 64], [64 * 4 * 4, 10]),
        (8, 10, [16, 16, 32, 32, 64, 64, 128, 128], [128 * 2 * 2, 64, 10]),
        (10, 10, [32, 32, 64, 64, 128, 128, 256, 256, 256, 256], [256 * 2 * 2, 128, 10]),
        (2, 100, [32, 32], [32 * 8 * 8, 100]),
        (6, 100, [32, 32, 64, 64, 128, 128], [128 * 8 * 8, 100]),
        (10, 100, [32, 32, 64, 64, 128, 128, 256, 256, 256, 256], [256 * 2 * 2, 512, 100]),
    ],
)
def test_plain_cnns_have_the_layers_of_the_public_code(
    depth: int, outputs: int, convolutions: list[int], dense: list[int]
) -> None:
    expected = sum(a * b * 9 + b + 2 * b for a, b in zip([3, *convolutions], convolutions, strict=False))
    expected += sum(a * b + b for a, b in pairwise(dense))
    assert count_parameters(create(f"plain-{depth}", outputs=outputs)) == expected


def test_the_default_shortcut_subsamples_and_pads_with_zero_channels() -> None:
    states = torch.randn(2, 4, 5, 6)
    expected = torch.zeros(2, 8, 3, 3)
    for channel in range(4):
        for row in range(3):
            for column in range(3):
                expected[:, 2 + channel, row, column] = states[:, channel, 2 * row, 2 * column]
    for training in (False, True):
        shortcut = Subsampling(4).train(training)
        assert list(shortcut.parameters()) == []
        given = states.clone().requires_grad_()
        found = shortcut(given)
        assert torch.equal(found, expected)
        found.backward(torch.arange(expected.numel()).view(expected.shape).float())
        assert given.grad is not None
        assert torch.equal(given.grad[:, :, 1::2], torch.zeros(2, 4, 2, 6))
        assert given.grad[1, 3, 2, 4] == ((8 + 5) * 3 + 1) * 3 + 2


@pytest.mark.parametrize("name", ["resnet-14", "resnet-14-b"])
def test_a_resnet_computes_what_the_paper_says(name: str) -> None:
    model = create(name)
    for weight in model.parameters():  # batch norm's own weights would hide an exchange of two of them
        torch.nn.init.uniform_(weight, -0.3, 0.7)
    images = pixels(3)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CIFAR.mean, CIFAR.std))
    expected = reference({name: w.detach() for name, w in model.state_dict().items()}, (images / 255 - mean) / std)
    torch.testing.assert_close(logits(model, images), expected)


def reference(weights: dict[str, Tensor], states: Tensor) -> Tensor:
    """A CIFAR ResNet in evaluation, from its weights alone."""

    def conv_norm(name: str, inputs: Tensor, stride: int) -> Tensor:
        kernel = weights[f"{name}.conv.weight"]
        outputs = F.conv2d(inputs, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        norm = [weights[f"{name}.norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(outputs, *norm)

    states = conv_norm("stem", states, 1).relu()
    for group in range(3):
        for block in range(2):
            prefix, stride = f"groups.{group}.{block}", 2 if group > 0 and block == 0 else 1
            update = conv_norm(f"{prefix}.first", states, stride).relu()
            update = conv_norm(f"{prefix}.second", update, 1)
            if stride == 2 and f"{prefix}.shortcut.conv.weight" in weights:
                states = conv_norm(f"{prefix}.shortcut", states, 2)
            elif stride == 2:
                zeros = torch.zeros(len(states), states.shape[1] // 2, *update.shape[2:])
                states = torch.cat([zeros, states[:, :, ::2, ::2], zeros], dim=1)
            states = (update + states).relu()
    return F.linear(states.mean((2, 3)), weights["classifier.weight"], weights["classifier.bias"])


def test_convolutions_start_as_in_the_paper() -> None:
    weights = create("resnet-56").state_dict()
    for name, fan_out in (("groups.1.3.first.conv.weight", 32 * 9), ("groups.2.3.second.conv.weight", 64 * 9)):
        assert float(weights[name].std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert torch.equal(weights["groups.1.3.first.norm.weight"], torch.ones(32))


def test_weights_follow_from_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first, same, other = (create("resnet-8", seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


@pytest.mark.parametrize("name", ["resnet-8", "plain-4"])
@pytest.mark.parametrize("image", [CIFAR, DIGITS, ImageShape(12, 9, 3, CIFAR.mean, CIFAR.std)])
def test_saved_models_load_with_equal_logits(name: str, image: ImageShape, tmp_path: Path) -> None:
    model = create(name, outputs=7, image=image)
    model.train()
    model(pixels(6, image))  # moves batch norm's statistics
    model.eval()
    save_model(model, None, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert torch.equal(logits(loaded, pixels(4, image)), logits(model, pixels(4, image)))
    config = loaded.config
    assert (config.num_labels, config.num_channels) == (7, image.channels)
    assert tuple(config.image_size) == (image.height, image.width)
    assert (tuple(config.image_mean), tuple(config.image_std)) == (image.mean, image.std)
    assert (config.num_hidden_layers, config.hidden_size) == ((8, 64) if name == "resnet-8" else (4, 32))


def test_pixels_may_be_bytes_or_numbers_in_any_memory_format() -> None:
    model, images = create("resnet-8"), pixels(4)
    kept = images.clone()
    expected = logits(model, images)
    assert torch.equal(logits(model, images.float()), expected)
    torch.testing.assert_close(logits(model, images.contiguous()), expected)
    assert torch.equal(images, kept)


def test_feature_maps_come_on_request() -> None:
    model = create("resnet-8")
    assert model(pixels(2)).hidden_states is None
    maps = model(pixels(2), output_hidden_states=True).hidden_states
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_there_is_no_attention_to_set() -> None:
    model = create("plain-2")
    model.set_attn_implementation("sdpa")
    model.set_attn_implementation("eager")


def test_a_new_models_revision_is_its_name_and_its_codes_version() -> None:
    assert model_revision("new:resnet-110") == "new:resnet-110@1"
    assert model_revision("new:plain-10") == "new:plain-10@1"
    assert is_new("new:resnet-8")
    assert not is_new("path:new")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("new:resnet-18", "a ResNet's depth is 6n+2, so 14 or 20"),
        ("new:resnet-2", "so 8 or 14"),
        ("new:resnet20", "did you mean 'resnet-20'?"),
        ("new:resnet-20-B", "did you mean 'resnet-20-b'?"),
        ("new:plain-3", "did you mean 'plain-"),
        ("new:vgg", "resnet-<depth> with depth 6n+2, as in resnet-20"),
        ("new:", "must start with one of"),
    ],
)
def test_unknown_architectures_are_refused(source: str, said: str) -> None:
    assert said in refused(lambda: model_revision(source))


def test_what_needs_pretrained_weights_refuses_a_new_model() -> None:
    assert "'new:resnet-8': has no pretrained weights" in refused(lambda: model_folder("new:resnet-8"))


def test_images_too_small_for_an_architecture_are_refused() -> None:
    assert "8 x 8 pixels are too small" in refused(lambda: create("plain-8", image=DIGITS))


def test_damaged_image_models_are_refused(tmp_path: Path) -> None:
    save_model(create("resnet-8"), None, tmp_path)
    assert "has 10 outputs, but the task needs 3" in refused(lambda: load_model(tmp_path, outputs=3, auto=CLASSIFIER))
    weights = load_file(tmp_path / "model.safetensors")
    del weights["stem.norm.running_var"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "the weights lack 'stem.norm.running_var'" in refused(lambda: load_model(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "distilgrid-resnets"}))
    assert "did you mean 'distilgrid-resnet'?" in refused(lambda: load_model(tmp_path))


@pytest.mark.parametrize("name", ["resnet-8", "resnet-8-b", "plain-4"])
def test_maps_stay_channels_last_in_training(name: str) -> None:
    model = create(name, image=DIGITS).train()
    for found in model(pixels(4, DIGITS), output_hidden_states=True).hidden_states:
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_pixel_that_is_no_number_is_seen_in_bf16() -> None:
    model = create("resnet-8", image=DIGITS).train()
    images = pixels(4, DIGITS).float()
    images[0, 0, 0, 0] = float("inf")
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images).logits.isnan().all()
