"""Making, loading and saving of models and tokenisers: safetensors only, no remote code, offline."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.loading import load

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

OWN = {
    "distilgrid-layered-bert": "distilgrid.models.layered_bert:LayeredBert",
    "distilgrid-resnet": "distilgrid.models.resnet:ResNet",
    "distilgrid-plain-cnn": "distilgrid.models.plain_cnn:PlainCnn",
}
"""Our architectures by model type, as "module:class"."""
CLASSIFIER = "AutoModelForSequenceClassification"  # a head with one vector of outputs for each text
EAGER = {"attn_implementation": "eager"}  # faster than SDPA on CPUs at the lengths of classification


def load_tokenizer(folder: Path | str) -> "PreTrainedTokenizerBase":
    """Load the tokeniser stored with a model. Raises UserError when its files are missing or damaged."""
    from transformers import AutoTokenizer, PretrainedConfig

    # An architecture of our own is unknown to transformers, which warns of it; the tokeniser's files name its class.
    known = {"config": PretrainedConfig()} if library(folder) == "distilgrid" else {}
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, **known)
    except Exception as error:  # transformers raises many types; the user needs one line
        raise UserError(f"{folder}: tokeniser cannot be loaded ({first_line(error)})") from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers makes an empty one where files are missing
        raise UserError(f"{folder}: the tokeniser has no vocabulary; a model needs tokenizer.json or vocab.txt")
    return tokenizer


def load_model(folder: Path | str, *, outputs: int | None = None, auto: str | None = None) -> "PreTrainedModel":
    """Load a model with a head in fp32 and evaluation mode.

    Raises UserError for missing or damaged files, or weights that do not fill the model.

    Args:
        folder: folder of `config.json` and `model.safetensors`; a missing head of a text model is drawn at random.
        outputs: width of the outputs for a pretrained model without a head; None takes the stored width.
        auto: class of transformers that gives a pretrained model the head of a task kind; None takes the stored head.
    """
    if library(folder) == "distilgrid":
        return _load_own_model(folder, outputs)
    import transformers

    options = {} if outputs is None else {"num_labels": outputs}
    loader = getattr(transformers, auto or _stored_head(folder)).from_pretrained
    model, missing = read_model(loader, folder, named=str(folder), **EAGER, **options)
    body = f"{model.base_model_prefix}."
    _refuse_absent(folder, [name for name in missing if name.startswith(body) and "pooler" not in name])
    return model


def from_config(config: "PretrainedConfig", *, auto: str) -> "PreTrainedModel":
    """Make a model with random weights in fp32 and evaluation mode; `auto` names its head as in `load_model`."""
    import transformers

    own = OWN.get(config.model_type)
    make = load(own)._from_config if own else getattr(transformers, auto).from_config
    model: PreTrainedModel = make(config, **EAGER)
    return model.float().eval()


def _load_own_model(folder: Path | str, outputs: int | None) -> "PreTrainedModel":
    model_type = str(_config(folder).get("model_type"))
    if model_type not in OWN:
        raise UserError(f"{folder}: model type '{model_type}' is unknown; {did_you_mean(model_type, OWN)}")
    options = EAGER if "num_attention_heads" in _config(folder) else {}  # not in image models
    model, missing = read_model(load(OWN[model_type]).from_pretrained, folder, named=str(folder), **options)
    _refuse_absent(folder, missing)
    if outputs not in (None, model.config.num_labels):
        raise UserError(f"{folder}: the model has {model.config.num_labels} outputs, but the task needs {outputs}")
    return model


def library(folder: Path | str) -> str:
    """The library that loads a model: `transformers`, or `distilgrid` for our architectures."""
    return "distilgrid" if str(_config(folder).get("model_type")).startswith("distilgrid-") else "transformers"


def _config(folder: Path | str) -> dict[str, Any]:
    """A model's configuration; empty if unreadable, which the loaders report."""
    try:
        found = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _stored_head(folder: Path | str) -> str:
    """The automatic class of a saved model's head: AutoModelForX of a BertForX. Raises UserError without a head."""
    architecture = str(next(iter(_config(folder).get("architectures") or ()), ""))
    if "For" not in architecture:
        raise UserError(f"{folder}: config.json names no model with a head under `architectures`; give a trained model")
    return f"AutoModel{architecture[architecture.index('For') :]}"


def _refuse_absent(folder: Path | str, names: list[str]) -> None:
    if names:
        raise UserError(f"{folder}: the weights lack '{names[0]}' (and {len(names) - 1} more); check config.json")


def read_model(
    loader: Callable[..., Any], folder: Path | str, *, named: str, **options: Any
) -> "tuple[PreTrainedModel, list[str]]":
    """Load a model in fp32 and evaluation mode, and list the weights that its files lack.

    `loader` is `from_pretrained` of an automatic class with further `options`; `named` is the model's name in messages.
    Raises UserError for missing or damaged files.
    """
    import torch

    always = {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        model, found = loader(str(folder), **always, **options)
    except Exception as error:  # transformers and safetensors raise many types; the user needs one line
        raise UserError(f"{named}: model cannot be loaded ({first_line(error)}); are its files whole?") from None
    return model.eval(), sorted(found["missing_keys"])


def save_model(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase | None", folder: Path) -> None:
    """Write `model.safetensors` and `config.json`, and the `tokenizer*.json` of a tokeniser, into a folder."""
    model.save_pretrained(str(folder))
    if tokenizer is not None:
        tokenizer.save_pretrained(str(folder))


def count_parameters(model: "PreTrainedModel") -> int:
    """Number of weights, embeddings included."""
    return sum(parameter.numel() for parameter in model.parameters())


def first_line(error: Exception) -> str:
    """First line of an error's message."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
