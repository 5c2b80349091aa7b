"""The forms of models' inputs, and random ones for benchmarks. Light: a device has them without the trained model."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from distilgrid.core.schema import Settings

if TYPE_CHECKING:
    import numpy as np

SEED = 0
"""The seed of the inputs and of the order of turns."""


class ModelInputs(Settings):
    """What the inputs of one model look like."""

    @classmethod
    def of(cls, config: Mapping[str, Any], names: Callable[[], Sequence[str]]) -> "ModelInputs | None":
        """The inputs of a model, from its `config.json` and its tokeniser's `names`; None for another form."""
        raise NotImplementedError

    def lengths(self, asked: Sequence[int]) -> Sequence[int]:
        """The lengths at which the model is measured: by default, all those asked for."""
        return asked

    def make(self, batch_size: int, length: int) -> "dict[str, np.ndarray]":
        """Random inputs, the same each time."""
        raise NotImplementedError


class TextInputs(ModelInputs):
    """Token ids under a full mask."""

    names: list[Literal["input_ids", "attention_mask", "token_type_ids"]] = Field(min_length=1)
    """In the order of the exported graph."""
    vocab_size: int = Field(ge=2)
    """Number of token ids."""
    pad_token_id: int = Field(default=0, ge=0)
    """The id of padding, which stands for no token."""

    @classmethod
    def of(cls, config: Mapping[str, Any], names: Callable[[], Sequence[str]]) -> "TextInputs | None":
        """The inputs of a model with a vocabulary."""
        if "vocab_size" not in config:
            return None
        known = {"vocab_size": config["vocab_size"], "pad_token_id": config.get("pad_token_id") or 0}
        return cls.model_validate({"names": list(names()), **known})

    def make(self, batch_size: int, length: int) -> "dict[str, np.ndarray]":
        """Each (B, L) int64."""
        import numpy as np

        ids = _generator(batch_size, length).integers(self.vocab_size, size=(batch_size, length), dtype=np.int64)
        ids[ids == self.pad_token_id] = (self.pad_token_id + 1) % self.vocab_size
        filled = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return {name: filled[name] for name in self.names}


class ImageInputs(ModelInputs):
    """Pixels of one size."""

    image: list[int] = Field(min_length=3, max_length=3)
    """Height, width, channels."""

    @classmethod
    def of(cls, config: Mapping[str, Any], _names: Callable[[], Sequence[str]]) -> "ImageInputs | None":
        """The inputs of a model with an image size."""
        return cls(image=[*config["image_size"], config["num_channels"]]) if "image_size" in config else None

    def lengths(self, _asked: Sequence[int]) -> Sequence[int]:
        """The single length of images."""
        return [1]

    def make(self, batch_size: int, length: int) -> "dict[str, np.ndarray]":
        """`pixel_values` (B, C, H, W) uint8, channels last in memory, as in training."""
        pixels = _generator(batch_size, length).integers(256, size=(batch_size, *self.image), dtype="uint8")
        return {"pixel_values": pixels.transpose(0, 3, 1, 2)}


def _generator(batch_size: int, length: int) -> "np.random.Generator":
    import numpy as np

    return np.random.default_rng([SEED, batch_size, length])
