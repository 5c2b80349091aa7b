"""Named architectures without pretrained weights: `resnet-20`, `resnet-8-b`, `plain-4`. Light: no torch.

CIFAR ResNets: He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2. Plain CNNs: the "plane"
networks of Mirzadeh et al. 2020 (TAKD), which Annealing-KD (Jafari et al. 2021) uses too.
"""

import re
from dataclasses import dataclass
from typing import Literal

from distilgrid.core.errors import UserError, did_you_mean

# Declared versions of the code behind a family: bump one when the same seed may give another model.
VERSIONS = {"resnet": 1, "plain": 1}
PATTERN = (
    "resnet-<depth> with depth 6n+2, as in resnet-20; resnet-<depth>-b for projection shortcuts; plain-2, 4, 6, 8 or 10"
)
USUAL_DEPTHS = (8, 14, 20, 26, 32, 44, 56, 110)
# A number is a 3x3 convolution of that many channels with batch norm and ReLU, M halves height and width, and numbers
# after the bar are hidden fully connected layers.
PLAIN = {
    2: "16 M 16 M",
    4: "16 16 M 32 32 M",
    6: "16 16 M 32 32 M 64 64 M",
    8: "16 16 M 32 32 M 64 64 M 128 128 M | 64",
    10: "32 32 M 64 64 M 128 128 M 256 256 256 256 M | 128",
}
PLAIN_MANY_LABELS = {
    2: "32 M 32 M",
    4: "32 32 M 64 64 M",
    6: "32 32 M 64 64 M 128 128",
    8: "32 32 M 64 64 M 128 128 M 256 256 M | 64",
    10: "32 32 M 64 64 M 128 128 M 256 256 256 256 M | 512",
}
MANY_LABELS = 11


@dataclass(frozen=True)
class NamedArchitecture:
    """A named architecture."""

    name: str  # name in parameter files
    family: Literal["resnet", "plain"]  # code that builds it
    depth: int  # number of weighted layers, as the papers count them
    # shortcut of a ResNet where the shape changes: A subsamples and pads with zeros, B projects
    shortcut: Literal["A", "B"] = "A"

    @property
    def revision(self) -> str:
        """Fingerprint of the architecture, with the declared version of the code."""
        return f"{self.name}@{VERSIONS[self.family]}"

    @property
    def blocks(self) -> int:
        """Basic blocks in each of a ResNet's three groups."""
        return (self.depth - 2) // 6

    def layers(self, outputs: int) -> str:
        """Layers of a plain CNN. As in the public code, more than 10 outputs take a wider table."""
        return (PLAIN if outputs < MANY_LABELS else PLAIN_MANY_LABELS)[self.depth]


def find_architecture(name: str) -> NamedArchitecture:
    """Look up an architecture. Raises UserError for an unknown name."""
    resnet = re.fullmatch(r"resnet-([1-9]\d{0,3})(-b)?", name)
    if resnet and int(resnet[1]) >= 8 and int(resnet[1]) % 6 == 2:
        return NamedArchitecture(name, "resnet", int(resnet[1]), "B" if resnet[2] else "A")
    plain = re.fullmatch(r"plain-([1-9]\d?)", name)
    if plain and int(plain[1]) in PLAIN:
        return NamedArchitecture(name, "plain", int(plain[1]))
    raise UserError(f"model source 'new:{name}': no such architecture; {_hint(name)}")


def _hint(name: str) -> str:
    depth = re.fullmatch(r"resnet-?(\d+)(-b)?", name)
    if depth and f"resnet-{depth[1]}{depth[2] or ''}" == name:
        below = max(1, (int(depth[1]) - 2) // 6)
        return f"a ResNet's depth is 6n+2, so {6 * below + 2} or {6 * below + 8}"
    usual = [f"resnet-{depth}{suffix}" for depth in USUAL_DEPTHS for suffix in ("", "-b")]
    near = did_you_mean(name, [*usual, *(f"plain-{depth}" for depth in PLAIN)])
    return near if near.startswith("did") else f"choose {PATTERN}"
