"""The inputs of an exported model, kept in its folder: a device can measure it without the trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.messages import first_problem
from distilgrid.core.schema import Settings
from distilgrid.runtimes.base import IMAGE_LENGTH, PIXELS

if TYPE_CHECKING:
    import numpy as np

FIELD = "inputs"
"""The field of `parity.json`."""


class TextInputs(Settings):
    """Token ids under a full mask."""

    names: list[Literal["input_ids", "attention_mask", "token_type_ids"]] = Field(min_length=1)
    """In the order of the exported graph."""
    vocab_size: int = Field(ge=2)
    """Number of token ids."""
    pad_token_id: int = Field(default=0, ge=0)
    """The id of padding, which stands for no token."""

    def lengths(self, asked: Sequence[int]) -> Sequence[int]:
        """The lengths at which the model is measured: those asked for."""
        return asked

    def make(self, batch_size: int, length: int) -> "dict[str, np.ndarray]":
        """The inputs that a benchmark of the trained model uses: each (B, L) int64."""
        import numpy as np

        ids = _generator(batch_size, length).integers(self.vocab_size, size=(batch_size, length), dtype=np.int64)
        ids[ids == self.pad_token_id] = (self.pad_token_id + 1) % self.vocab_size
        filled = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return {name: filled[name] for name in self.names}


class ImageInputs(Settings):
    """Pixels of one size."""

    image: list[int] = Field(min_length=3, max_length=3)
    """Height, width, channels."""

    def lengths(self, _asked: Sequence[int]) -> Sequence[int]:
        """The single length of images."""
        return [IMAGE_LENGTH]

    def make(self, batch_size: int, length: int) -> "dict[str, np.ndarray]":
        """The inputs that a benchmark of the trained model uses: (B, C, H, W) uint8, channels last in memory."""
        pixels = _generator(batch_size, length).integers(256, size=(batch_size, *self.image), dtype="uint8")
        return {PIXELS: pixels.transpose(0, 3, 1, 2)}


Inputs = TextInputs | ImageInputs


def _generator(batch_size: int, length: int) -> "np.random.Generator":
    import numpy as np

    from distilgrid.benchmark.protocol import SEED

    return np.random.default_rng([SEED, batch_size, length])


def describe_inputs(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The field `inputs` of `parity.json`, from a model's `config.json` and its inputs in the order of the graph."""
    if "image_size" in config:
        return ImageInputs(image=[*config["image_size"], config["num_channels"]]).model_dump()
    pad = config.get("pad_token_id") or 0
    known = {"names": list(names), "vocab_size": config["vocab_size"], "pad_token_id": pad}
    return TextInputs.model_validate(known).model_dump()


def read_inputs(folder: Path) -> Inputs:
    """The inputs of an exported model; UserError if the folder does not name them."""
    path = folder / "parity.json"
    found = read_json(path).get(FIELD)
    if not isinstance(found, dict):
        raise UserError(f"{path}: says no {FIELD}, an older DistilGrid made this export; export the model again")
    try:
        return parse_inputs(found)
    except ValidationError as error:
        schema = (ImageInputs if "image" in found else TextInputs).model_json_schema()
        raise UserError(f"{path}: {FIELD}.{first_problem(error, schema)}") from None


def parse_inputs(values: Mapping[str, Any]) -> Inputs:
    """Inputs from the values of `describe_inputs`; ValidationError for others."""
    return (ImageInputs if "image" in values else TextInputs).model_validate(values)
