"""Import of torchvision with a torch without CUDA."""

import importlib.util
from pathlib import Path

import torch

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
declared: list[torch.library.Library] = []  # a library's declarations end with it


def declare_missing_operators() -> None:
    """Make torchvision importable where its binary, built for CUDA, does not load.

    torchdistill imports it, and so does transformers where it is installed. Its Python part asks for two operators of
    the binary to exist; training on text never calls them.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        return
    binary = next(Path(found.submodule_search_locations[0]).glob("_C*.so"))
    try:
        torch.ops.load_library(str(binary))
    except OSError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(name + NMS)
        declared.append(library)
