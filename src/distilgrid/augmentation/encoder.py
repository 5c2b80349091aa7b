"""Model for word look-ups: its tokeniser, its input embeddings and its masked-LM head, if it has one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.augmentation.augmenter import Surroundings
from distilgrid.core.errors import UserError
from distilgrid.models.io import load_tokenizer, read_model
from distilgrid.models.source import model_folder

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


HEADS = ("ForMaskedLM", "ForPreTraining")  # classes whose weights hold a masked-LM head


@dataclass(frozen=True)
class Encoder:
    """A model, read for its words."""

    tokenizer: "PreTrainedTokenizerBase"
    embeddings: "Tensor"  # (V, H) fp32, a row for each piece
    masked_lm: "PreTrainedModel | None"  # the model with its masked-LM head


def encoder_folder(source: str | None, surroundings: Surroundings, *, kind: str) -> Path:
    """Folder of the model that the settings name, or of the teacher.

    Raises UserError when there is neither, or the model cannot be found.
    """
    if source is not None:
        return model_folder(source)
    if surroundings.teacher is None:
        raise UserError(f"augmentation '{kind}': there is no teacher to take words from; set source to a model")
    return surroundings.teacher


def load_encoder(folder: Path, *, masked_lm: bool) -> Encoder:
    """Read a model's embeddings, and its masked-LM head if it is wanted and exists.

    Raises UserError when files are missing or damaged, or the weights hold no input embeddings.
    """
    from transformers import AutoModel

    tokenizer = load_tokenizer(folder)
    head = _with_head(folder) if masked_lm and tokenizer.mask_token_id is not None else None
    if head is not None:
        return Encoder(tokenizer, _embeddings(head), head)
    model, missing = read_model(AutoModel.from_pretrained, folder, named=str(folder))
    absent = [name for name in missing if "embed" in name]
    if absent:
        raise UserError(f"{folder}: the weights lack '{absent[0]}'; they fit another config.json")
    return Encoder(tokenizer, _embeddings(model), None)


def _with_head(folder: Path) -> "PreTrainedModel | None":
    """The model with its masked-LM head; None where the weights hold none, as in a fine-tuned model."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    pretrained = any(name.endswith(HEADS) for name in config.architectures or HEADS)
    if not pretrained or type(config) not in AutoModelForMaskedLM._model_mapping:
        return None
    model, missing = read_model(AutoModelForMaskedLM.from_pretrained, folder, named=str(folder))
    return None if missing else model


def _embeddings(model: "PreTrainedModel") -> "Tensor":
    weight: Tensor = model.get_input_embeddings().weight
    return weight.detach()
