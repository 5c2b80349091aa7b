"""Training on small images as torchvision's tutorials and the public code of TAKD and Annealing-KD do it.

One image at a time in PIL, collated by a DataLoader; a plain module in fp32 and torch's own memory format; torch's
defaults for everything else. torchvision's transforms where it is installed, else the same ones written out.
"""

import importlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

PADDING = 4
Transform = Callable[[Image.Image], Tensor]


class Block(nn.Module):
    """Two convolutions and a shortcut without weights."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.added, self.stride = wide - narrow, wide // narrow
        self.conv1 = nn.Conv2d(narrow, wide, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)

    def forward(self, states: Tensor) -> Tensor:
        """(B, narrow, H, W) to (B, wide, H / stride, W / stride)."""
        update = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(states)))))
        if self.added:
            states = F.pad(states[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))
        return F.relu(update + states)


class ResNet8(nn.Module):
    """The smallest CIFAR ResNet (He et al. 2015)."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Block(16, 16), Block(16, 32), Block(32, 64))
        self.classifier = nn.Linear(64, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to logits."""
        logits: Tensor = self.classifier(self.blocks(self.stem(images)).mean((2, 3)))
        return logits


class ImageRows(Dataset[tuple[Tensor, int]]):
    """Images in memory, transformed as they are asked for."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, transform: Transform) -> None:
        self.pixels, self.labels, self.transform = pixels, labels, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[row])), int(self.labels[row])


def epochs(
    pixels: np.ndarray, labels: np.ndarray, *, workers: int, batch: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Iterator[None]:
    """Train one more epoch at each step of the iterator."""
    rows = ImageRows(pixels, labels, _transforms(mean, std))
    loader = DataLoader(rows, batch_size=batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    model = ResNet8(int(labels.max()) + 1).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    while True:
        for images, targets in loader:
            loss = F.cross_entropy(model(images), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
        yield


def _transforms(mean: tuple[float, ...], std: tuple[float, ...]) -> Transform:
    try:
        transforms = importlib.import_module("torchvision.transforms")
    except ImportError:
        return _Transforms(mean, std)
    composed: Transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=PADDING),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    return composed


class _Transforms:
    """Pad, cut out, mirror, to a tensor, normalise: what torchvision does, step by step."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, image: Image.Image) -> Tensor:
        width, height = image.size
        padded = ImageOps.expand(image, border=PADDING, fill=0)
        top, left = (int(torch.randint(0, 2 * PADDING + 1, size=(1,)).item()) for _ in range(2))
        image = padded.crop((left, top, left + width, top + height))
        if torch.rand(1) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        mean, std = (torch.as_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return tensor.clone().sub_(mean).div_(std)
