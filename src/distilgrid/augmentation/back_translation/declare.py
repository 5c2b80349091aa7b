"""Settings of back-translation. Light: no torch here."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from distilgrid.augmentation.base import Rewriting

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(_[A-Za-z]+)*$")]


class BackTranslation(Rewriting):
    """Translation into another language and back (the `+BT` rows of MixKD, Liang et al. 2021)."""

    augmenter: ClassVar[str] = "distilgrid.augmentation.back_translation.rows:BackTranslationAugmenter"
    undecisive: ClassVar[frozenset[str]] = frozenset({"forward", "backward"})

    kind: Literal["back-translation"] = "back-translation"
    """Two translation models, one for each direction."""
    forward: str
    """Model that translates the task's language into the pivot: hub:<name>@<revision>, path:<folder> or package:<x>."""
    backward: str
    """Model that translates the pivot back: hub:<name>@<revision>, path:<folder> or package:<distribution>."""
    language: Language = "en"
    """Language of the task's texts, as a multilingual `backward` names it in its token `>>xx<<`; unused by others."""
    pivot: Language | None = None
    """Language that a multilingual `forward` writes, as its token `>>xx<<` names it; unused by others."""
    decoding: Literal["sampling", "beam"] = "sampling"
    """`sampling` draws each token, so that copies differ; `beam` searches the likeliest one, always the same."""
    beams: int = Field(default=4, ge=1)
    """Width of the beam search; unused by sampling."""
    top_k: int = Field(default=10, ge=1)
    """Number of likeliest tokens that sampling draws from."""
    temperature: float = Field(default=1.0, gt=0)
    """Softmax temperature of the sampling; smaller stays closer to the likeliest translation."""
    batch_size: int = Field(default=32, ge=1)
    """Texts translated together. Sampled translations depend on it: the texts of a batch share one random stream."""
    max_length: int = Field(default=128, ge=4)
    """Longest text and longest translation in tokens; longer ones are cut."""

    @model_validator(mode="after")
    def _beams_give_one(self) -> "BackTranslation":
        if self.decoding == "beam" and self.copies > 1:
            raise ValueError(
                f"copies is {self.copies}, but beam search translates a text one way; set decoding: sampling"
            )
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """Both translation models."""
        return (self.forward, self.backward)
