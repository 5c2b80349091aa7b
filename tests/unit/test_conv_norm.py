"""The written-out backward pass of image models: the same outputs, gradients and statistics as torch's own modules."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilgrid.models.conv_norm import ConvNorm, relu_
from distilgrid.models.image_model import ImageModel
from distilgrid.models.new import create_model
from distilgrid.models.resnet import Subsampling
from distilgrid.tasks.kinds.image.files import ImageShape

CIFAR = ImageShape(32, 32, 3, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
DIGITS = ImageShape(8, 8, 1, (0.3,), (0.4,))


def maps(channels: int, height: int, width: int, *, batch: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(batch, channels, height, width, generator=generator)
    return drawn.contiguous(memory_format=torch.channels_last)


def trained(step: Callable[..., Tensor], *inputs: Tensor | None, bf16: bool = False) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of the inputs for an output gradient that differs everywhere."""
    given = [None if tensor is None else tensor.clone().requires_grad_() for tensor in inputs]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = step(*given)
    out.backward(maps(*out.shape[1:], batch=len(out), seed=9).to(out.dtype))
    found = [tensor.grad for tensor in given if tensor is not None]
    return out.detach(), [grad for grad in found if grad is not None]


def by_torch(unit: ConvNorm) -> Callable[[Tensor, Tensor | None], Tensor]:
    """What a unit stands for, of torch's own functions."""

    def step(states: Tensor, shortcut: Tensor | None) -> Tensor:
        conv, norm = unit.conv, unit.norm
        out = F.conv2d(states, conv.weight, conv.bias, conv.stride, conv.padding)
        statistics = (norm.running_mean, norm.running_var)
        out = F.batch_norm(out, *statistics, norm.weight, norm.bias, training=True, momentum=norm.momentum)
        out = out if shortcut is None else out + shortcut
        return out.relu() if unit.relu else out

    return step


def drawn_unit(conv: nn.Conv2d, *, relu: bool = True) -> ConvNorm:
    unit = ConvNorm(conv, relu=relu).train()
    for weight in unit.norm.parameters():
        nn.init.uniform_(weight, -1, 1)
    return unit


@pytest.mark.parametrize(
    ("conv", "height", "width", "shortcut", "relu"),
    [
        (nn.Conv2d(3, 16, 3, padding=1, bias=False), 8, 6, False, True),
        (nn.Conv2d(16, 16, 3, padding=1, bias=False), 9, 7, True, True),
        (nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), 8, 8, True, True),
        (nn.Conv2d(32, 64, 1, stride=2, bias=False), 8, 8, False, False),
        (nn.Conv2d(1, 16, 3, padding=1), 8, 8, False, True),
        (nn.Conv2d(16, 16, 3, stride=2, padding=1, bias=False), 2, 2, False, True),
        (nn.Conv2d(4, 8, 3, padding=1), 1, 5, False, True),
    ],
)
def test_a_unit_trains_as_torchs_own_modules(
    conv: nn.Conv2d, height: int, width: int, shortcut: bool, relu: bool
) -> None:
    torch.manual_seed(0)
    unit = drawn_unit(conv, relu=relu)
    other = copy.deepcopy(unit)
    states = maps(conv.in_channels, height, width)
    with torch.no_grad():
        shape = conv(states).shape[1:]
    residual = maps(*shape, seed=1) if shortcut else None
    out, grads = trained(unit, states, residual)
    expected, expected_grads = trained(by_torch(other), states, residual)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-4, atol=1e-5)
    for (name, weight), same in zip(unit.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, same.grad, rtol=1e-4, atol=1e-4, msg=name)
    torch.testing.assert_close(unit.norm.running_mean, other.norm.running_mean)
    torch.testing.assert_close(unit.norm.running_var, other.norm.running_var)
    assert unit.norm.num_batches_tracked == 1


@pytest.mark.parametrize("channels", [16, 32])
def test_a_unit_in_bf16_is_as_close_to_fp32_as_torchs_own_modules(channels: int) -> None:
    torch.manual_seed(0)
    unit = drawn_unit(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
    nn.init.uniform_(unit.norm.bias, 3, 4)  # few numbers near the kink of the ReLU, where bf16 takes the other side
    states, residual = maps(channels, 16, 16), maps(channels, 16, 16, seed=1)
    exact = trained(by_torch(copy.deepcopy(unit)), states, residual)
    torchs = trained(by_torch(copy.deepcopy(unit)), states, residual, bf16=True)
    ours = trained(unit, states, residual, bf16=True)
    for found in (ours, torchs):
        for value, expected in zip((found[0], *found[1]), (exact[0], *exact[1]), strict=True):
            assert torch.linalg.vector_norm(value.float() - expected) < 0.01 * torch.linalg.vector_norm(expected)
    assert ours[0].dtype == torch.bfloat16


def test_statistics_of_a_large_mean_stay_exact() -> None:
    unit = ConvNorm(nn.Conv2d(1, 16, 1, bias=False)).train()
    nn.init.ones_(unit.conv.weight)
    states = maps(1, 16, 16) + 100
    unit(states)
    torch.testing.assert_close(unit.norm.running_var, 0.9 + 0.1 * states.var().expand(16), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_relu_keeps_what_is_no_number(dtype: torch.dtype) -> None:
    nan, inf = float("nan"), float("inf")
    given = torch.tensor([-inf, -3e38, -1.0, -1e-40, -0.0, 0.0, 1e-40, 2.5, inf, nan, -nan, nan])
    found = given.to(dtype)
    found[-1] = -found[-1].abs()  # NaN with its sign set, whichever nan is
    relu_(found)
    expected = given.to(dtype).clamp(min=0)
    assert torch.equal(found[:9], expected[:9])
    assert found[9:].isnan().all()


def test_a_loss_that_is_no_number_is_seen() -> None:
    unit = ConvNorm(nn.Conv2d(2, 16, 3, padding=1)).train()
    states = maps(2, 8, 8)
    states[0, 0, 0, 0] = float("inf")
    with torch.autocast("cpu", torch.bfloat16):
        assert unit(states).isnan().all()


def image_model(name: str, image: ImageShape) -> ImageModel:
    model = create_model(name, outputs=10, image=image, seed=0)
    assert isinstance(model, ImageModel)
    return model.train()


@pytest.mark.parametrize("name", ["new:resnet-8", "new:resnet-8-b", "new:plain-4"])
@pytest.mark.parametrize("image", [CIFAR, DIGITS])
def test_models_train_alike_written_out_and_not(name: str, image: ImageShape) -> None:
    generator = torch.Generator().manual_seed(1)
    shape = (12, image.height, image.width, image.channels)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    labels = torch.arange(12) % 10
    found = []
    for written_out in (True, False):
        model = image_model(name, image)
        begun = flat(model)
        model.use_written_out(written_out)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(3):
            optimiser.zero_grad()
            F.cross_entropy(model(images).logits, labels).backward()
            optimiser.step()
        found.append(flat(model))
    apart, moved = (found[0] - found[1]).norm(), (found[0] - begun).norm()
    # Rounding differs between processors, and turns some activation at its threshold: single weights may then differ.
    assert apart < 0.02 * moved, f"{apart / moved:.1e} of the way that training went"


def flat(model: ImageModel) -> torch.Tensor:
    """All weights and statistics as one vector."""
    return torch.cat([value.double().flatten() for value in model.state_dict().values()])


def test_maps_stay_channels_last() -> None:
    model = image_model("new:resnet-8", DIGITS)
    images = torch.zeros(4, 8, 8, 1, dtype=torch.uint8).permute(0, 3, 1, 2)
    for found in model(images, output_hidden_states=True).hidden_states:
        assert found.is_contiguous(memory_format=torch.channels_last)
    out, grads = trained(Subsampling(16), maps(16, 8, 8))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert grads[0].is_contiguous(memory_format=torch.channels_last)
