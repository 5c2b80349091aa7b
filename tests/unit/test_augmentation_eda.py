"""EDA: each operation does what the paper says, and a text depends on itself and its seed alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tests.conftest import GOOD, sentences
from tests.unit.tiny_augmentation import save_encoder

from distilgrid.augmentation.base import Augmenter, Surroundings
from distilgrid.augmentation.eda import rows as eda
from distilgrid.augmentation.eda.declare import EDA
from distilgrid.augmentation.eda.rows import EDAAugmenter
from distilgrid.augmentation.rows import build_augmenter
from distilgrid.augmentation.words import Words
from distilgrid.core.errors import UserError

TEXT = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon!"
SEEDS = range(40)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("teacher"), head=False)


def applied(operation: eda.Operation, text: str, *, alpha: float, seed: int, synonyms: tuple[str, ...] = ("x",)) -> str:
    words = Words.of(text)
    operation(words, alpha, np.random.default_rng(seed), lambda word: tuple(f"{word}{new}" for new in synonyms))
    return words.text()


def only(teacher: Path, **alphas: float) -> Augmenter:
    settings = EDA(**({"synonym": 0.0, "insert": 0.0, "swap": 0.0, "delete": 0.0} | alphas), candidates=5)
    return build_augmenter(settings, Surroundings(teacher=teacher))


# Operations -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "count"), [(0.01, 1), (0.1, 2), (0.19, 3), (0.5, 10), (1.0, 20)])
@pytest.mark.parametrize("seed", range(5))
def test_synonyms_replace_n_words(alpha: float, count: int, seed: int) -> None:
    new = Words.of(applied(eda.replace_synonyms, TEXT, alpha=alpha, seed=seed)).words
    old = Words.of(TEXT).words
    changed = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
    assert len(changed) == count
    assert all(other == f"{one}x" for one, other in changed)


def test_a_synonym_replaces_a_word_wherever_it_stands() -> None:
    said = {applied(eda.replace_synonyms, "Film, the film: FILM", alpha=0.1, seed=seed) for seed in SEEDS}
    assert said == {"Filmx, the filmx: FILMX"}


def test_stop_words_are_never_replaced_nor_the_origin_of_insertions() -> None:
    text = "it was the film that we have had"
    assert applied(eda.replace_synonyms, text, alpha=1.0, seed=0) == text.replace("film", "filmx")
    assert applied(eda.replace_synonyms, "it was the one", alpha=1.0, seed=0).endswith("onex")
    added = Counter(Words.of(applied(eda.insert_synonyms, text, alpha=1.0, seed=0)).words) - Counter(text.split())
    assert added == {"filmx": 8}
    assert applied(eda.insert_synonyms, "it was the", alpha=1.0, seed=0) == "it was the"


@pytest.mark.parametrize(("alpha", "count"), [(0.01, 1), (0.1, 2), (0.5, 10)])
@pytest.mark.parametrize("seed", range(5))
def test_insertion_adds_n_words(alpha: float, count: int, seed: int) -> None:
    new = Words.of(applied(eda.insert_synonyms, TEXT, alpha=alpha, seed=seed)).words
    old = Words.of(TEXT).words
    assert len(new) == len(old) + count
    assert [word for word in new if not word.endswith("x")] == old
    assert all(word.removesuffix("x") in old for word in new)


def test_insertion_reaches_every_place() -> None:
    texts = {applied(eda.insert_synonyms, "red film", alpha=0.1, seed=seed) for seed in SEEDS}
    places = ("{} red film", "red {} film", "red film {}")
    assert texts == {place.format(word) for place in places for word in ("redx", "filmx")}


@pytest.mark.parametrize(("alpha", "most"), [(0.01, 2), (0.1, 4), (0.3, 12)])
@pytest.mark.parametrize("seed", range(5))
def test_swaps_move_at_most_two_words_each(alpha: float, most: int, seed: int) -> None:
    new, old = Words.of(applied(eda.swap_words, TEXT, alpha=alpha, seed=seed)).words, Words.of(TEXT).words
    assert Counter(new) == Counter(old)
    moved = sum(one != other for one, other in zip(old, new, strict=True))
    assert moved == 2 if most == 2 else 0 < moved <= most


def test_one_word_is_not_swapped() -> None:
    assert applied(eda.swap_words, "film!", alpha=1.0, seed=0) == "film!"


def test_deletion_takes_a_share_of_the_words() -> None:
    old = Words.of(TEXT).words
    left = [Words.of(applied(eda.delete_words, TEXT, alpha=0.3, seed=seed)).words for seed in range(200)]
    assert all([word for word in old if word in words] == words for words in left)  # in their order
    assert np.mean([len(words) for words in left]) == pytest.approx(0.7 * len(old), abs=0.5)


def test_deletion_leaves_a_word() -> None:
    left = {applied(eda.delete_words, "good film", alpha=0.999999, seed=seed) for seed in SEEDS}
    assert left == {"good", "film"}
    assert applied(eda.delete_words, "film", alpha=0.999999, seed=0) == "film"


@pytest.mark.parametrize("operation", eda.OPERATIONS.values(), ids=eda.OPERATIONS)
@pytest.mark.parametrize("text", ["", "?!", "42 ..."])
def test_nothing_to_rewrite_stays(operation: eda.Operation, text: str) -> None:
    assert applied(operation, text, alpha=0.5, seed=0) == text


# The augmenter --------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_text_in_any_order(teacher: Path) -> None:
    texts = [text for text, _ in sentences(60, seed=3)]
    seeds = list(range(60))
    augmenter, order = (
        build_augmenter(EDA(), Surroundings(teacher=teacher)),
        list(np.random.default_rng(0).permutation(60)),
    )
    straight = augmenter.rewrite(texts, seeds)
    again = build_augmenter(EDA(), Surroundings(teacher)).rewrite([texts[i] for i in order], [seeds[i] for i in order])
    assert again == [straight[i] for i in order]
    assert augmenter.rewrite(texts[:1], seeds[:1]) == straight[:1]
    assert sum(one != other for one, other in zip(texts, straight, strict=True)) > 30
    assert augmenter.rewrite(texts, [seed + 1000 for seed in seeds]) != straight


def test_each_operation_is_drawn_alike(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[str] = Counter()
    names = {name: (lambda *_, name=name: drawn.update([name])) for name in eda.OPERATIONS}
    monkeypatch.setattr(eda, "OPERATIONS", names)
    build_augmenter(EDA(), Surroundings(teacher=teacher)).rewrite(["good film"] * 800, range(800))
    assert set(drawn) == set(names)
    assert all(150 < count < 250 for count in drawn.values())


def test_an_alpha_of_zero_leaves_the_operation_out() -> None:
    texts = EDAAugmenter(EDA(synonym=0, insert=0, delete=0), Surroundings()).rewrite([TEXT] * 40, SEEDS)
    assert all(sorted(Words.of(text).words) == sorted(Words.of(TEXT).words) for text in texts)


def test_synonyms_are_neighbours_in_the_embedding_space(teacher: Path) -> None:
    texts = only(teacher, synonym=0.1).rewrite(["It was Good , again ."] * 40, SEEDS)
    assert {text.replace("It was ", "").replace(" , again .", "") for text in texts} == {
        word.title() for word in GOOD if word != "good"
    }


def test_operations_without_synonyms_need_no_model() -> None:
    settings = EDA(synonym=0, insert=0)
    assert not settings.rewrites_with_teacher and settings.sources == ()
    assert EDA().rewrites_with_teacher and EDA(source="path:x").sources == ("path:x",)
    assert build_augmenter(settings, Surroundings(teacher=None)).rewrite(["good film"], [1]) != []


def test_without_any_model_the_settings_are_named() -> None:
    with pytest.raises(UserError, match="augmentation 'eda': there is no teacher to take words from; set source"):
        build_augmenter(EDA(), Surroundings(teacher=None))


def test_a_missing_source_is_named() -> None:
    with pytest.raises(UserError, match=r"path:/nowhere/model.*no config\.json"):
        build_augmenter(EDA(source="path:/nowhere/model"), Surroundings(teacher=None))


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(ValidationError, match="are all 0; set at least one"):
        EDA(synonym=0, insert=0, swap=0, delete=0)
