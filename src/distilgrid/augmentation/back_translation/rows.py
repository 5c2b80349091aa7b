"""Back-translation: a text is translated into a pivot language and back.

Sennrich, Haddow, Birch: Improving Neural Machine Translation Models with Monolingual Data, 2016; as an augmentation, Yu
et al.: QANet, 2018, and the `+BT` rows of MixKD (Liang et al. 2021). The default decoding, sampling among the 10
likeliest tokens, is that of the public script of Glitter (Kamalloo et al. 2022); beam search changes texts less.

A model translates one pair of languages, which is not checked, or is a multilingual Marian model that a token `>>xx<<`
tells its target.
"""

import hashlib
from collections.abc import Sequence

from distilgrid.augmentation.augmenter import Surroundings
from distilgrid.augmentation.back_translation.declare import BackTranslation
from distilgrid.augmentation.back_translation.translator import Translator
from distilgrid.core.fingerprint import canonical_json, derive_seed
from distilgrid.core.journal import Journal
from distilgrid.core.machine import package_versions
from distilgrid.core.progress import progress
from distilgrid.training.placement import choose_device

Pair = tuple[str, int]
DECODING = ("decoding", "beams", "top_k", "temperature", "max_length")


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
        key = self._key(name, translator, texts, seeds)
        found: list[str] | None = self.journal.find(key)
        if found is None:
            found = translator.translate(texts, seed=derive_seed(0, f"{name}/{canonical_json(seeds)}"))
            self.computed += 1
            found = list(self.journal.keep(key, found))
        return found

    def _key(self, name: str, translator: Translator, texts: list[str], seeds: list[int]) -> str:
        """Hash of everything that decides the translations of a batch."""
        decoding = {field: getattr(self.settings, field) for field in DECODING}
        batch = {"direction": name, "model": translator.revision, "texts": texts, "seeds": seeds}
        said = canonical_json({**batch, "decoding": decoding, "versions": package_versions()})
        return hashlib.sha256(said.encode()).hexdigest()
