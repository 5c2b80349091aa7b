"""Words of texts, whole words of vocabularies, and their neighbours in an embedding space."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import BAD, GOOD
from tests.unit.tiny_augmentation import PIECES, VOCABULARY, WORDS, embeddings, save_encoder

from distilgrid.augmentation.neighbours import BLOCK, Neighbours, Vocabulary, load_encoder
from distilgrid.augmentation.words import Words, in_case_of, is_content
from distilgrid.core.errors import UserError

TEXTS = [
    "The film was great.",
    "  two  spaces,\ttabs\nand lines  ",
    "don't split O’Brien's well-made my_name 3.14 (or) 'this'!",  # noqa: RUF001
    "ein schöner Film – naïve 電影 🎬 e\u0301",  # noqa: RUF001
    "... !?",
    "",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"), head=False)


@pytest.fixture(scope="module")
def vocabulary(folder: Path) -> Vocabulary:
    encoder = load_encoder(folder, masked_lm=False)
    return Vocabulary(encoder.tokenizer, size=len(encoder.embeddings))


def neighbours(vocabulary: Vocabulary, *, count: int = 4, min_similarity: float = 0.0) -> Neighbours:
    return Neighbours(vocabulary, embeddings(), count=count, min_similarity=min_similarity)


# Texts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back_to_the_character(text: str) -> None:
    words = Words.of(text)
    assert words.text() == text
    assert len(words.gaps) == len(words.words) + 1
    assert [text[start : start + len(word)] for start, word in zip(words.starts, words.words, strict=True)] == (
        words.words
    )


def test_words_are_what_spaces_and_punctuation_leave() -> None:
    assert " ".join(Words.of("I don't like well-made my_name 3.14!").words) == "I don't like well made my_name 3 14"


@pytest.mark.parametrize(
    ("place", "text"),
    [(0, "new Great film!"), (1, "Great new film!"), (2, "Great film new!")],
)
def test_inserting_leaves_punctuation_at_its_end(place: int, text: str) -> None:
    words = Words.of("Great film!")
    words.insert(place, "new")
    assert words.text() == text


@pytest.mark.parametrize(
    ("text", "place", "left"),
    [
        ("a good film .", 0, "good film ."),
        ("a good film .", 1, "a film ."),
        ("a good film", 2, "a good"),
        ("a good, long film", 1, "a , long film"),
        ("(good) film", 0, "() film"),
    ],
)
def test_deleting_takes_one_space_along(text: str, place: int, left: str) -> None:
    words = Words.of(text)
    words.delete(place)
    assert words.text() == left
    assert len(words.gaps) == len(words.words) + 1


@pytest.mark.parametrize(
    ("original", "word", "said"),
    [("film", "story", "story"), ("Film", "story", "Story"), ("FILM", "story", "STORY"), ("film", "Paris", "Paris")],
)
def test_capitals_are_those_of_the_replaced_word(original: str, word: str, said: str) -> None:
    assert in_case_of(original, word) == said


@pytest.mark.parametrize("word", ["The", "very", "42", "v2", "don't", "my_name"])
def test_stop_words_numbers_and_names_are_no_content(word: str) -> None:
    assert not is_content(word)


def test_stop_words_count_on_demand() -> None:
    assert is_content("The", stop_words=True) and is_content("film") and not is_content("42", stop_words=True)


# Vocabulary -----------------------------------------------------------------------------------------------------------


def test_whole_words_are_neither_special_nor_continuations(vocabulary: Vocabulary) -> None:
    assert sorted(vocabulary.forms) == sorted(word for word in [*WORDS, "un"] if len(word) > 1)
    assert [VOCABULARY[number] for number in vocabulary.ids] == vocabulary.forms


def test_pieces_of_words(vocabulary: Vocabulary) -> None:
    named = [[VOCABULARY[number] for number in pieces] for pieces in vocabulary.pieces(["Film", "unlikely", "zebra"])]
    assert named == [["film"], ["un", "##like", "##ly"], []]


def test_byte_level_continuations_are_no_words() -> None:
    """`ing` within a word and ` ing` at its start are two pieces of RoBERTa's kind of vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "<unk>", *letters, "in", "ing", "Ġfi", "lm", "Ġfilm"]
    merges = [("i", "n"), ("in", "g"), ("Ġ", "f"), ("Ġf", "i"), ("l", "m"), ("Ġfi", "lm")]
    model = models.BPE({piece: i for i, piece in enumerate([*pieces, "Ġf"])}, merges, unk_token="<unk>")
    backend = Tokenizer(model)
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>")
    found = Vocabulary(tokenizer, size=len(tokenizer))
    assert set(found.forms) == {"film", "fi"}


# Neighbours -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "group"), [("good", GOOD), ("Awful", BAD)])
def test_neighbours_are_the_nearest_words_but_itself(vocabulary: Vocabulary, word: str, group: list[str]) -> None:
    found = neighbours(vocabulary, count=5).of(word)
    assert set(found) == set(group) - {word.lower()}
    table = torch.nn.functional.normalize(embeddings().double(), dim=1)
    cosines = [float(table[VOCABULARY.index(word.lower())] @ table[VOCABULARY.index(near)]) for near in found]
    assert cosines == sorted(cosines, reverse=True)


def test_no_word_is_its_own_neighbour(vocabulary: Vocabulary) -> None:
    looked = neighbours(vocabulary, count=len(VOCABULARY))
    for word in [*WORDS, "Film", "GREAT", "unlikely", "films"]:
        found = looked.of(word)
        assert len(found) >= len(vocabulary.forms) // 4
        assert word.lower() not in found
        assert not {*PIECES[1:], "[MASK]", "[UNK]"} & set(found)
    assert "un" not in looked.of("unlikely")


def test_a_word_of_pieces_is_their_mean(vocabulary: Vocabulary) -> None:
    mean = embeddings()[[VOCABULARY.index(piece) for piece in ("film", "##s")]].mean(dim=0)
    cosines = torch.nn.functional.cosine_similarity(embeddings(), mean[None])
    best = max((word for word in vocabulary.forms if word != "film"), key=lambda word: cosines[VOCABULARY.index(word)])
    assert neighbours(vocabulary, count=1).of("films") == (best,)


def test_far_words_are_left_out(vocabulary: Vocabulary) -> None:
    near, all_of_them = neighbours(vocabulary, count=99, min_similarity=0.8), neighbours(vocabulary, count=99)
    assert set(near.of("good")) == set(GOOD) - {"good"}
    assert len(all_of_them.of("good")) > len(near.of("good"))
    assert neighbours(vocabulary, min_similarity=0.99999).of("good") == ()


def test_unknown_words_have_no_neighbours(vocabulary: Vocabulary) -> None:
    assert neighbours(vocabulary).of("zebra") == ()


def test_neighbours_do_not_depend_on_what_else_is_looked_up(vocabulary: Vocabulary) -> None:
    words = [*WORDS, *(f"{word}s" for word in WORDS), *(word.title() for word in WORDS)]
    assert len(words) > BLOCK
    together, alone = neighbours(vocabulary, count=9), neighbours(vocabulary, count=9)
    together.prepare(words)
    assert [together.of(word) for word in words] == [alone.of(word) for word in words]


def test_a_word_is_looked_up_once(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, asked = neighbours(vocabulary), []
    pieces = vocabulary.pieces
    monkeypatch.setattr(vocabulary, "pieces", lambda words: asked.extend(words) or pieces(words))
    looked.prepare(["good", "bad", "good"])
    looked.prepare(["bad", "film"])
    looked.of("good")
    assert asked == ["bad", "good", "film"]


def test_zeros_are_near_to_nothing(vocabulary: Vocabulary) -> None:
    looked = Neighbours(vocabulary, torch.zeros(len(VOCABULARY), 4), count=3, min_similarity=0.5)
    assert looked.of("good") == ()
    assert np.isfinite(looked._table).all()


# Models ---------------------------------------------------------------------------------------------------------------


def test_weights_without_embeddings_are_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    state = load_file(broken / "model.safetensors")
    del state["embeddings.word_embeddings.weight"]
    save_file(state, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"broken: the weights lack '.*word_embeddings") as caught:
        load_encoder(broken, masked_lm=False)
    assert "\n" not in str(caught.value)
