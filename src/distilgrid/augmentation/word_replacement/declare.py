"""Settings of word replacement. Light: no torch here."""

from typing import ClassVar, Literal

from pydantic import Field

from distilgrid.augmentation.base import EmbeddingBased


class WordReplacement(EmbeddingBased):
    """TinyBERT's word replacement (Jiao et al. 2020, Algorithm 1); the paper makes 20 copies."""

    augmenter: ClassVar[str] = "distilgrid.augmentation.word_replacement.rows:WordReplacementAugmenter"

    kind: Literal["word-replacement"] = "word-replacement"
    """Words replaced by a masked language model's guesses, or by their neighbours in an embedding space."""
    probability: float = Field(default=0.4, gt=0, le=1)
    """Chance of each word to be replaced."""
    masked_lm: Literal["auto", "never"] = "auto"
    """`auto` asks the model's masked-language-model head for single-piece words if it has one; `never` asks none."""
    skip_stop_words: bool = True
    """Whether English stop words stay, as in the paper's code."""

    @property
    def makes_by_model(self) -> bool:
        """Whether a masked language model may be asked: a fine-tuned teacher has no such head."""
        return self.masked_lm == "auto" and self.source is not None
