"""A translation model, and its translations of a batch of texts."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distilgrid.augmentation.back_translation.declare import BackTranslation
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.models.io import first_line, load_tokenizer, read_model
from distilgrid.models.source import model_folder, model_revision

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

TARGET = re.compile(r">>(.+)<<")


class Translator:
    """A sequence-to-sequence model with its tokeniser; the weights are read when the first batch needs them.

    Raises UserError when the model is missing, damaged, or of another type.
    """

    def __init__(self, source: str, settings: BackTranslation, *, device: torch.device) -> None:
        self.source, self.settings, self.device = source, settings, device
        self.folder = model_folder(source)
        self.revision = model_revision(source)
        _check_kind(source, self.folder)
        self.tokenizer = load_tokenizer(self.folder)
        self._model: PreTrainedModel | None = None

    def prefix(self, target: str | None, *, key: str) -> str:
        """Token `>>xx<< ` that tells a multilingual Marian model its target language; empty for other models.

        Raises UserError when the setting `key` gives such a model no target, or one that it does not know.
        """
        choices = {found[1] for token in self.tokenizer.get_vocab() if (found := TARGET.fullmatch(token))}
        if not choices:
            return ""
        if target is None:
            raise UserError(
                f"'{self.source}' writes several languages; set {key} to one of: {', '.join(sorted(choices))}"
            )
        if target not in choices:
            raise UserError(f"'{self.source}' has no token >>{target}<< for {key}; {did_you_mean(target, choices)}")
        return f">>{target}<< "

    def translate(self, texts: Sequence[str], *, seed: int) -> list[str]:
        """Translations of the texts of one batch; sampling has a separate random stream that starts from `seed`.

        Texts longer than `max_length` or than the model's positions are cut by the tokeniser.
        """
        with torch.random.fork_rng(["cuda"] if self.device.type == "cuda" else []):  # reading weights draws numbers too
            model = self._loaded()
            length = self._length(model)
            inputs = self.tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True, max_length=length)
            given = {name: inputs[name].to(self.device) for name in ("input_ids", "attention_mask")}
            torch.manual_seed(seed)
            with torch.inference_mode():
                tokens = model.generate(**given, generation_config=self._decoding(model, length))
        decoded: list[str] = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in decoded]

    def _loaded(self) -> "PreTrainedModel":
        if self._model is None:
            self._model = _load(self.source, self.folder).to(self.device)
        return self._model

    def _length(self, model: "PreTrainedModel") -> int:
        positions = getattr(model.config, "max_position_embeddings", None) or self.settings.max_length
        return min(self.settings.max_length, int(positions), int(self.tokenizer.model_max_length))

    def _decoding(self, model: "PreTrainedModel", length: int) -> "GenerationConfig":
        """Special tokens and forbidden words of the model, with the decoding of the settings."""
        from transformers import GenerationConfig

        own = {name: value for name, value in model.generation_config.to_dict().items() if name in KEPT}
        limits = {"max_new_tokens": length - 1}  # the start token takes a position
        if self.settings.decoding == "beam":
            return GenerationConfig(**own, **limits, do_sample=False, num_beams=self.settings.beams)
        top_k, temperature = self.settings.top_k, self.settings.temperature
        return GenerationConfig(**own, **limits, do_sample=True, num_beams=1, top_k=top_k, temperature=temperature)


KEPT = (
    "bad_words_ids",
    "bos_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "pad_token_id",
)


def _check_kind(source: str, folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    try:
        config: Any = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers raises many types; the user needs one line
        raise UserError(f"model source '{source}': config.json cannot be read ({first_line(error)})") from None
    if type(config) not in AutoModelForSeq2SeqLM._model_mapping:
        kind = f"its type '{config.model_type}' does not translate"
        raise UserError(f"model source '{source}': {kind}; take a sequence-to-sequence model such as opus-mt-en-de")
    if any(folder.glob("*.spm")) and find_spec("sentencepiece") is None:
        raise UserError(f"model source '{source}': its tokeniser needs sentencepiece; pip install sentencepiece")


def _load(source: str, folder: Path) -> "PreTrainedModel":
    from transformers import AutoModelForSeq2SeqLM

    model, missing = read_model(AutoModelForSeq2SeqLM.from_pretrained, folder, named=f"model source '{source}'")
    if missing:
        raise UserError(f"model source '{source}': the weights lack '{missing[0]}'; they fit another config.json")
    return model
