"""What a user can set for each augmentation of the training rows. Light: no torch here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distilgrid.core.schema import Settings

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Added(Settings):
    """What everything that adds rows has."""

    seed: int = Field(default=0, ge=0)
    """Seed of the new rows; it is not a training seed, so all students see the same ones."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Model sources that are read, beside the teacher."""
        return ()

    @property
    def rewrites_with_teacher(self) -> bool:
        """Whether the rewriting itself reads the teacher's folder; its labels are another matter."""
        return False


class Rewriting(Added):
    """What every augmentation that rewrites training rows has."""

    copies: int = Field(default=1, ge=1)
    """Augmented rows made of each training row; copies that come out unchanged or twice are dropped."""
    fields: Literal["both", "first", "second", "random"] = "both"
    """Which texts of a pair are rewritten; `random` draws one of the two for each copy. Single texts always are."""
    labels: Literal["copied", "teacher"] = "copied"
    """Labels of the new rows: the original row's hard label, or the teacher's probabilities on the new text."""


class BackTranslation(Rewriting):
    """Translation into another language and back (the `+BT` rows of MixKD, Liang et al. 2021)."""

    kind: Literal["back-translation"] = "back-translation"
    """Two translation models, one for each direction."""
    forward: str
    """Model that translates the task's language into the pivot: hub:<name>@<revision>, path:<folder> or package:<x>."""
    backward: str
    """Model that translates the pivot back: hub:<name>@<revision>, path:<folder> or package:<distribution>."""
    language: Language = "en"
    """Language code of the task's texts, as the models write it."""
    pivot: Language | None = None
    """Language code that `forward` must write and `backward` must read; null takes the one that the models declare."""
    decoding: Literal["sampling", "beam"] = "sampling"
    """`sampling` draws each token, so that copies differ; `beam` searches the likeliest one, always the same."""
    beams: int = Field(default=4, ge=1)
    """Width of the beam search; unused by sampling."""
    top_k: int = Field(default=10, ge=1)
    """Sampling draws from this many likeliest tokens."""
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
        """The two translation models."""
        return (self.forward, self.backward)


class EmbeddingBased(Rewriting):
    """What augmentations that look up similar words have."""

    source: str | None = None
    """Model whose input embeddings say which words are similar; null takes the teacher's own fine-tuned folder."""
    candidates: int = Field(default=15, ge=1)
    """A new word is drawn from this many candidates."""
    min_similarity: float = Field(default=0.0, ge=0, lt=1)
    """Smallest cosine between the embeddings of a word and its substitute; a word with none so near stays."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The model of the embeddings, unless it is the teacher."""
        return () if self.source is None else (self.source,)

    @property
    def rewrites_with_teacher(self) -> bool:
        """Whether the embeddings are the teacher's."""
        return self.source is None


class WordReplacement(EmbeddingBased):
    """TinyBERT's word replacement (Jiao et al. 2020, Algorithm 1); the paper makes 20 copies."""

    kind: Literal["word-replacement"] = "word-replacement"
    """Words replaced by a masked language model's guesses, or by their neighbours in an embedding space."""
    probability: float = Field(default=0.4, gt=0, le=1)
    """Chance of each word to be replaced."""
    masked_lm: Literal["auto", "never"] = "auto"
    """`auto` asks the model's masked-language-model head for single-piece words if it has one; `never` asks none."""
    skip_stop_words: bool = True
    """Whether English stop words stay, as in the paper's code."""


class EDA(EmbeddingBased):
    """Easy data augmentation (Wei and Zou 2019): one of four operations, drawn for each copy."""

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

    @model_validator(mode="after")
    def _does_something(self) -> "EDA":
        if not (self.synonym or self.insert or self.swap or self.delete):
            raise ValueError("synonym, insert, swap and delete are all 0; set at least one")
        return self

    @property
    def needs_synonyms(self) -> bool:
        """Whether any operation looks up similar words."""
        return bool(self.synonym or self.insert)

    @property
    def sources(self) -> tuple[str, ...]:
        """The model of the embeddings, where an operation needs them."""
        return super().sources if self.needs_synonyms else ()

    @property
    def rewrites_with_teacher(self) -> bool:
        """Whether an operation needs the teacher's embeddings."""
        return super().rewrites_with_teacher and self.needs_synonyms


class Unlabelled(Added):
    """Texts without labels: the teacher labels them (the transfer sets of Turc et al. 2019)."""

    kind: Literal["unlabelled"] = "unlabelled"
    """Other texts, labelled by the teacher."""
    texts: list[str] = Field(min_length=1)
    """Tasks whose training rows lend their texts, and files: `csv:<file>` or `parquet:<file>` with the task's own text
    columns. Labels are not read."""
    max_rows: int | None = Field(default=None, ge=1)
    """At most this many rows, a seeded choice; null takes all."""
    labels: Literal["teacher"] = "teacher"
    """The teacher's probabilities, or its number."""


Rewritten = BackTranslation | WordReplacement | EDA
Augmentation = Annotated[Rewritten | Unlabelled, Field(discriminator="kind")]
