"""Models without pretrained weights, made from an architecture's name and a seed."""

from typing import TYPE_CHECKING

import torch

from distilgrid.core.errors import UserError
from distilgrid.models.architectures import NamedArchitecture, find_architecture
from distilgrid.models.plain_cnn import PlainCnn, PlainConfig, last_size
from distilgrid.models.resnet import WIDTHS, ResNet, ResNetConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distilgrid.tasks.dataset import Dataset
    from distilgrid.tasks.kinds.image.rows import ImageShape


def new_model(source: str, dataset: "Dataset", *, seed: int) -> "PreTrainedModel":
    """Make a model of a `new:` source in fp32 from the seed. Raises UserError for a task without images."""
    shape = dataset.task_kind.batch().shape(dataset)
    return create_model(source, outputs=dataset.outputs, image=shape, seed=seed)


def create_model(source: str, *, outputs: int, image: "ImageShape", seed: int) -> "PreTrainedModel":
    """An image classifier of source `new:<architecture>` with random weights, in fp32 and evaluation mode.

    The seed decides the weights; torch's global generator stays unchanged. Raises UserError for an unknown
    architecture, or images that are too small for it.
    """
    architecture = find_architecture(source.removeprefix("new:"))
    build = _resnet if architecture.family == "resnet" else _plain_cnn
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build(architecture, outputs, image).eval()


def _resnet(architecture: NamedArchitecture, outputs: int, image: "ImageShape") -> ResNet:
    shape = {"hidden_size": WIDTHS[-1], "blocks": architecture.blocks, "shortcut": architecture.shortcut}
    return ResNet(ResNetConfig(**_shared(architecture, outputs, image), **shape))


def _plain_cnn(architecture: NamedArchitecture, outputs: int, image: "ImageShape") -> PlainCnn:
    layers = architecture.layers(outputs)
    if 0 in last_size(layers, (image.height, image.width)):
        raise UserError(
            f"model source 'new:{architecture.name}': images of {image.height} x {image.width} pixels are too small, "
            f"it halves them {layers.count('M')} times; choose fewer layers"
        )
    width = int(layers.replace("M", "").replace("|", "").split()[-1])
    return PlainCnn(PlainConfig(**_shared(architecture, outputs, image), hidden_size=width, layers=layers))


def _shared(architecture: NamedArchitecture, outputs: int, image: "ImageShape") -> dict[str, object]:
    return {
        "num_labels": outputs,
        "num_channels": image.channels,
        "image_size": [image.height, image.width],
        "image_mean": list(image.mean),
        "image_std": list(image.std),
        "num_hidden_layers": architecture.depth,
    }
