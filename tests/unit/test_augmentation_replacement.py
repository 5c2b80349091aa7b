"""TinyBERT's word replacement: which words, which candidates, and that a text depends on itself and its seed alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import GOOD, sentences
from tests.unit.tiny_augmentation import VOCABULARY, save_encoder

from distilgrid.augmentation.augmenter import Surroundings
from distilgrid.augmentation.rows import build_augmenter
from distilgrid.augmentation.word_replacement.declare import WordReplacement
from distilgrid.augmentation.word_replacement.masked_lm import MaskedLM
from distilgrid.augmentation.word_replacement.rows import WordReplacementAugmenter
from distilgrid.augmentation.words import Words
from distilgrid.core.errors import UserError
from distilgrid.models.io import CLASSIFIER, load_model, load_tokenizer, save_model

TEXT = "The film, unlikely: was it a GREAT story? 42 zebra plots!"
SEEDS = range(60)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("pretrained"), head=True)


@pytest.fixture(scope="module")
def teacher(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine-tuned: a classification head in the place of the pretraining's."""
    folder = tmp_path_factory.mktemp("teacher")
    save_model(load_model(pretrained, outputs=2, auto=CLASSIFIER), load_tokenizer(pretrained), folder)
    return folder


def augmenter(folder: Path, **settings: Any) -> WordReplacementAugmenter:
    built = build_augmenter(WordReplacement(**settings), Surroundings(teacher=folder, device="cpu"))
    assert isinstance(built, WordReplacementAugmenter)
    return built


def replaced(built: WordReplacementAugmenter, text: str, seeds: range = SEEDS) -> list[set[str]]:
    """All words that stood in each place over some seeds."""
    texts = [Words.of(new) for new in built.rewrite([text] * len(seeds), seeds)]
    assert {tuple(new.gaps) for new in texts} == {tuple(Words.of(text).gaps)}
    return [set(words) for words in zip(*(new.words for new in texts), strict=True)]


# Which words ----------------------------------------------------------------------------------------------------------


def test_only_content_words_are_replaced(teacher: Path) -> None:
    changed = [len(words) > 1 for words in replaced(augmenter(teacher), TEXT)]
    kept_always = {"The", "was", "it", "a", "42", "zebra"}  # stop words, a number, a word without embedding
    assert changed == [word not in kept_always for word in Words.of(TEXT).words]


def test_stop_words_are_replaced_on_demand(teacher: Path) -> None:
    changed = [len(words) > 1 for words in replaced(augmenter(teacher, skip_stop_words=False), TEXT)]
    assert changed == [word not in {"42", "zebra"} for word in Words.of(TEXT).words]


@pytest.mark.parametrize("probability", [0.1, 0.4, 1.0])
def test_words_are_replaced_with_the_probability(teacher: Path, probability: float) -> None:
    text = "film story plot actor scene"
    texts = augmenter(teacher, probability=probability).rewrite([text] * 400, range(400))
    changed = [one != other for new in texts for one, other in zip(text.split(), new.split(), strict=True)]
    assert np.mean(changed) == pytest.approx(probability, abs=0.04)


@pytest.mark.parametrize("head", [True, False])
def test_the_same_seed_gives_the_same_text_in_any_order(pretrained: Path, teacher: Path, head: bool) -> None:
    folder = pretrained if head else teacher
    texts = [text for text, _ in sentences(40, seed=3)] + ["film story unlikely"] * 3
    seeds, order = list(range(43)), np.random.default_rng(0).permutation(43)
    straight = augmenter(folder).rewrite(texts, seeds)
    assert augmenter(folder).rewrite([texts[i] for i in order], [seeds[i] for i in order]) == (
        [straight[i] for i in order]
    )
    assert augmenter(folder).rewrite(texts[5:6], seeds[5:6]) == straight[5:6]
    assert straight != texts


# Candidates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"masked_lm": "never"}])
def test_without_a_head_candidates_are_neighbours(
    pretrained: Path, teacher: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MaskedLM, "candidates", lambda *_: pytest.fail("the masked LM was asked"))
    built = augmenter(pretrained if settings else teacher, candidates=5, probability=1.0, **settings)
    assert replaced(built, "Good film")[0] == {word.title() for word in GOOD if word != "good"}


def test_the_masked_lm_is_asked_for_single_pieces_only(pretrained: Path) -> None:
    built = augmenter(pretrained, candidates=3, probability=1.0)
    assert built.masked_lm is not None
    words = Words.of(TEXT)
    places = list(zip(words.starts, words.words, strict=True))
    guesses = dict(zip(words.words, built.masked_lm.candidates(TEXT, places), strict=True))
    assert {word for word, guess in guesses.items() if guess is None} == {"unlikely", "plots"}
    in_place = dict(zip(words.words, replaced(built, TEXT), strict=True))
    assert in_place["film"] == set(guesses["film"] or ())
    assert in_place["GREAT"] == {word.upper() for word in guesses["GREAT"] or ()}
    assert in_place["unlikely"] == set(built.neighbours.of("unlikely"))


@torch.inference_mode()
def test_candidates_are_the_likeliest_whole_words_in_the_place(pretrained: Path) -> None:
    from transformers import BertForMaskedLM

    built = augmenter(pretrained, candidates=4)
    assert built.masked_lm is not None
    found = built.masked_lm.candidates("good film .", [(5, "film")])[0]
    pieces = ["[CLS]", "good", "[MASK]", ".", "[SEP]", "good", "film", ".", "[SEP]"]
    ids = [VOCABULARY.index(piece) for piece in pieces]
    model = BertForMaskedLM.from_pretrained(pretrained).eval()
    logits = model(torch.tensor([ids]), token_type_ids=torch.tensor([[0] * 5 + [1] * 4])).logits[0, 2]
    ranked = [VOCABULARY[index] for index in logits.argsort(descending=True)]
    forms = set(built.neighbours.vocabulary.forms) - {"film"}
    assert list(found or ()) == [word for word in ranked if word in forms][:4]


def test_words_beyond_the_models_positions_get_neighbours(pretrained: Path) -> None:
    built = augmenter(pretrained, candidates=3, probability=1.0)
    assert built.masked_lm is not None
    text = "film " * 60 + "story"
    first, last = built.masked_lm.candidates(text, [(0, "film"), (300, "story")])
    assert first is not None and last is None
    assert replaced(built, text)[-1] == set(built.neighbours.of("story"))


def test_long_texts_are_asked_in_parts_to_the_same_result(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distilgrid.augmentation.word_replacement import masked_lm

    words = [(0, "film"), (5, "story"), (11, "plot"), (16, "actor")]
    built = augmenter(pretrained, candidates=2)
    assert built.masked_lm is not None
    whole = built.masked_lm.candidates("film story plot actor", words)
    monkeypatch.setattr(masked_lm, "TOKENS", 24)  # two copies of 11 tokens
    assert built.masked_lm.candidates("film story plot actor", words) == whole
    assert len(set(whole)) > 1


def test_texts_without_words_stay(pretrained: Path, teacher: Path) -> None:
    texts = ["", " ", "?!", "42"]
    assert augmenter(pretrained, probability=1.0).rewrite(texts, range(4)) == texts
    assert augmenter(teacher, probability=1.0).rewrite(texts, range(4)) == texts


def test_words_without_near_ones_stay(teacher: Path) -> None:
    assert augmenter(teacher, probability=1.0, min_similarity=0.9999).rewrite(["good film"], [0]) == ["good film"]


def test_the_source_replaces_the_teacher(pretrained: Path) -> None:
    settings = WordReplacement(source=f"path:{pretrained}")
    assert settings.sources == (f"path:{pretrained}",) and not settings.rewrites_with_teacher
    built = build_augmenter(settings, Surroundings(teacher=None, device="cpu"))
    assert isinstance(built, WordReplacementAugmenter) and built.masked_lm is not None


def test_a_damaged_model_is_one_line(teacher: Path, tmp_path: Path) -> None:
    import shutil

    broken = Path(shutil.copytree(teacher, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="broken: model cannot be loaded") as caught:
        augmenter(broken)
    assert "\n" not in str(caught.value)
