"""Back-translation: a text is translated into a pivot language and back.

Sennrich, Haddow, Birch: Improving Neural Machine Translation Models with Monolingual Data, 2016; as an augmentation, Yu
et al.: QANet, 2018, and the `+BT` rows of MixKD (Liang et al. 2021). The default decoding, sampling among the 10
likeliest tokens, is that of the public script of Glitter (Kamalloo et al. 2022); beam search changes texts less.

A model translates one pair of languages, which is not checked, or is a multilingual Marian model that a token `>>xx<<`
tells its target.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distilgrid.augmentation.back_translation.declare import BackTranslation
from distilgrid.augmentation.base import Surroundings
from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import canonical_json, derive_seed
from distilgrid.core.journal import Journal
from distilgrid.core.machine import package_versions
from distilgrid.core.progress import progress
from distilgrid.models.io import first_line, load_tokenizer, read_model
from distilgrid.models.source import model_folder, model_revision
from distilgrid.tasks.long_texts import cut_rows
from distilgrid.training.placement import choose_device

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

Pair = tuple[str, int]
TARGET = re.compile(r">>(.+)<<")
KEPT = ("bad_words_ids", "_token_id")  # of the fields of a generation configuration
DECODING = ("decoding", "beams", "top_k", "temperature", "max_length")


class Translator:
    """A sequence-to-sequence model with its tokeniser; the weights are read when the first batch needs them.

    Raises UserError when the model is missing, damaged, or of another type.
    """

    def __init__(self, source: str, settings: BackTranslation, *, device: torch.device) -> None:
        self.source, self.settings, self.device = source, settings, device
        self.folder = model_folder(source)
        self.revision = model_revision(source)
        self.named = f"model source '{source}'"
        _check_kind(self.named, self.folder)
        self.tokenizer = load_tokenizer(self.folder)

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
            model = self._model
            length = self._length(model)
            cut, _ = cut_rows(self.tokenizer, texts, None, longest=length)
            inputs = self.tokenizer(cut, return_tensors="pt", padding=True, truncation=True, max_length=length)
            given = {name: inputs[name].to(self.device) for name in ("input_ids", "attention_mask")}
            torch.manual_seed(seed)
            with torch.inference_mode():
                tokens = model.generate(**given, generation_config=self._decoding(model, length))
        decoded: list[str] = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in decoded]

    @cached_property
    def _model(self) -> "PreTrainedModel":
        from transformers import AutoModelForSeq2SeqLM

        model, missing = read_model(AutoModelForSeq2SeqLM.from_pretrained, self.folder, named=self.named)
        if missing:
            raise UserError(f"{self.named}: the weights lack '{missing[0]}'; they fit another config.json")
        return model.to(self.device)

    def _length(self, model: "PreTrainedModel") -> int:
        positions = getattr(model.config, "max_position_embeddings", None) or self.settings.max_length
        return min(self.settings.max_length, int(positions), int(self.tokenizer.model_max_length))

    def _decoding(self, model: "PreTrainedModel", length: int) -> "GenerationConfig":
        """Special tokens and forbidden words of the model, with the decoding of the settings."""
        from transformers import GenerationConfig

        given = model.generation_config.to_dict().items()
        own = {name: value for name, value in given if name.endswith(KEPT)}
        limits = {"max_new_tokens": length - 1}  # the start token takes a position
        if self.settings.decoding == "beam":
            return GenerationConfig(**own, **limits, do_sample=False, num_beams=self.settings.beams)
        top_k, temperature = self.settings.top_k, self.settings.temperature
        return GenerationConfig(**own, **limits, do_sample=True, num_beams=1, top_k=top_k, temperature=temperature)


class BackTranslationAugmenter:
    """Translates texts out and back in batches of similar length.

    The distinct (text, seed) pairs of a call are sorted by length, text and seed and cut into batches, so the order of
    rows changes nothing. The texts of a batch share one stream of random numbers, seeded by all their seeds: a sampled
    translation depends on its batch. Each batch and direction is kept in the journal as soon as it is done.
    """

    def __init__(self, settings: BackTranslation, surroundings: Surroundings) -> None:
        self.settings = settings
        device = choose_device(surroundings.device)
        forward, backward = (Translator(source, settings, device=device) for source in settings.sources)
        self.directions = (
            ("forward", forward, forward.prefix(settings.pivot, key="pivot")),
            ("backward", backward, backward.prefix(settings.language, key="language")),
        )
        self.journal = Journal(surroundings.journal, required=False)
        self.computed = 0  # batches translated, rather than found in the journal

    def rewrite(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """One new text for each text; where a translation is empty, the text stays."""
        if self.settings.decoding == "beam":
            seeds = [0] * len(texts)  # nothing is drawn: equal texts are translated once
        pairs = list(zip(texts, seeds, strict=True))
        todo = sorted({pair for pair in pairs if pair[0].strip()}, key=lambda pair: (len(pair[0]), pair))
        batches = [todo[at : at + self.settings.batch_size] for at in range(0, len(todo), self.settings.batch_size)]
        done: dict[Pair, str] = {}
        for batch in progress(batches, total=len(batches), label="translating out and back"):
            done |= dict(zip(batch, self._out_and_back(batch), strict=True))
        return [done.get(pair, pair[0]) for pair in pairs]

    def _out_and_back(self, batch: list[Pair]) -> list[str]:
        texts, seeds = [text for text, _ in batch], [seed for _, seed in batch]
        kept = [True] * len(texts)
        for name, translator, prefix in self.directions:
            texts = self._translated(name, translator, [prefix + text for text in texts], seeds)
            kept = [keep and bool(text) for keep, text in zip(kept, texts, strict=True)]
        return [text if keep else pair[0] for text, keep, pair in zip(texts, kept, batch, strict=True)]

    def _translated(self, name: str, translator: Translator, texts: list[str], seeds: list[int]) -> list[str]:
        # Everything that decides the translations of a batch.
        decoding = {field: getattr(self.settings, field) for field in DECODING}
        batch = {"direction": name, "model": translator.revision, "texts": texts, "seeds": seeds}
        said = canonical_json({**batch, "decoding": decoding, "versions": package_versions()})
        key = hashlib.sha256(said.encode()).hexdigest()
        found: list[str] | None = self.journal.find(key)
        if found is None:
            made = translator.translate(texts, seed=derive_seed(0, f"{name}/{canonical_json(seeds)}"))
            self.computed += 1
            found = list(self.journal.keep(key, made))
        return found


def _check_kind(named: str, folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    try:
        config: Any = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers raises many types; the user needs one line
        raise UserError(f"{named}: config.json cannot be read ({first_line(error)})") from None
    if type(config) not in AutoModelForSeq2SeqLM._model_mapping:
        kind = f"its type '{config.model_type}' does not translate"
        raise UserError(f"{named}: {kind}; take a sequence-to-sequence model such as opus-mt-en-de")
    if any(folder.glob("*.spm")) and find_spec("sentencepiece") is None:
        raise UserError(f"{named}: its tokeniser needs sentencepiece; pip install sentencepiece")
