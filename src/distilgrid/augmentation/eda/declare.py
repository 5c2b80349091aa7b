"""Settings of EDA. Light: no torch here."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from distilgrid.augmentation.base import EmbeddingBased


class EDA(EmbeddingBased):
    """Easy data augmentation (Wei and Zou 2019): one of four operations, drawn for each copy."""

    augmenter: ClassVar[str] = "distilgrid.augmentation.eda.rows:EDAAugmenter"

    kind: Literal["eda"] = "eda"
    """Synonym replacement, random insertion, random swap or random deletion."""
    synonym: float = Field(default=0.1, ge=0, le=1)
    """Share of the words replaced by synonyms, at least one word; 0 leaves the operation out."""
    insert: float = Field(default=0.1, ge=0, le=1)
    """Share of the words of which a synonym is put in at a random place, at least one; 0 leaves the operation out."""
    swap: float = Field(default=0.1, ge=0, le=1)
    """Swaps of two random words, as a share of the words, at least one; 0 leaves the operation out."""
    delete: float = Field(default=0.1, ge=0, lt=1)
    """Chance of each word to be deleted; 0 leaves the operation out."""

    @property
    def makes_by_model(self) -> bool:
        """No: embeddings are looked up."""
        return False

    @model_validator(mode="after")
    def _does_something(self) -> "EDA":
        if not (self.synonym or self.insert or self.swap or self.delete):
            raise ValueError("synonym, insert, swap and delete are all 0; set at least one")
        return self

    @property
    def needs_embeddings(self) -> bool:
        """Whether any operation looks up similar words."""
        return bool(self.synonym or self.insert)
