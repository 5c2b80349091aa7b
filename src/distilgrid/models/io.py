"""Loading and saving classification models and their tokenisers: safetensors only, no remote code, offline."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(folder: Path | str) -> "PreTrainedTokenizerBase":
    """The tokeniser stored beside a model.

    Raises:
        UserError: when its files are missing or damaged.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers raises many types; the user needs one line
        raise UserError(f"{folder}: tokeniser cannot be loaded ({first_line(error)})") from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers makes an empty one where files are missing
        raise UserError(f"{folder}: the tokeniser has no vocabulary; a model needs tokenizer.json or vocab.txt")
    return tokenizer


def load_model(folder: Path | str, *, outputs: int | None = None) -> "PreTrainedModel":
    """A sequence classification model in fp32 and evaluation mode.

    Args:
        folder: holds `config.json` and `model.safetensors`; heads that it lacks are drawn at random.
        outputs: width of the logits for a pretrained model without a head; null takes the stored width.

    Raises:
        UserError: when the files are missing or damaged, or the weights do not fill the encoder.
    """
    from transformers import AutoModelForSequenceClassification

    options = {} if outputs is None else {"num_labels": outputs}
    # Eager attention is faster than SDPA on CPUs at the lengths of classification.
    loader = AutoModelForSequenceClassification.from_pretrained
    model, missing = read_model(loader, folder, named=str(folder), attn_implementation="eager", **options)
    body = f"{model.base_model_prefix}."
    absent = sorted(name for name in missing if name.startswith(body) and "pooler" not in name)
    if absent:
        raise UserError(
            f"{folder}: the weights lack '{absent[0]}' (and {len(absent) - 1} more); they fit another config.json"
        )
    return model


def read_model(
    loader: Callable[..., Any], folder: Path | str, *, named: str, **options: Any
) -> "tuple[PreTrainedModel, list[str]]":
    """A model in fp32 and evaluation mode, and the names of weights that its files lack.

    Args:
        loader: `from_pretrained` of an automatic class.
        folder: holds the model's files.
        named: how a message calls the model.
        options: further ones of the loader.

    Raises:
        UserError: when the files are missing or damaged.
    """
    import torch

    always = {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        model, found = loader(str(folder), **always, **options)
    except Exception as error:  # transformers and safetensors raise many types; the user needs one line
        raise UserError(f"{named}: model cannot be loaded ({first_line(error)}); are its files whole?") from None
    return model.eval(), sorted(found["missing_keys"])


def save_model(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Write `model.safetensors`, `config.json`, `tokenizer.json` and `tokenizer_config.json` into a folder."""
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def count_parameters(model: "PreTrainedModel") -> int:
    """Number of weights, embeddings included."""
    return sum(parameter.numel() for parameter in model.parameters())


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
