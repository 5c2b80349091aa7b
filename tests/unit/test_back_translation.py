"""Back-translation: out and back, fixed batches, going on after a kill, and target languages."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import sentences
from tests.unit.tiny_augmentation import save_translator

from distilgrid.augmentation.back_translation.declare import BackTranslation
from distilgrid.augmentation.back_translation.rows import BackTranslationAugmenter, Translator
from distilgrid.augmentation.base import Surroundings
from distilgrid.core import journal
from distilgrid.core.errors import UserError

pytestmark = pytest.mark.chain

TEXTS = [text for text, _ in sentences(10, seed=5)]
SEEDS = list(range(100, 110))
BATCHES = 3  # of four texts, in each direction
CHOSEN = ("de", "fr")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("translators")
    return {
        "en-de": save_translator(root / "en-de", source_lang="en", target_lang="de"),
        "de-en": save_translator(root / "de-en", seed=1, source_lang="de", target_lang="en"),
        "fr-en": save_translator(root / "fr-en", seed=2, source_lang="fr", target_lang="en"),
        "silent": save_translator(root / "silent", seed=3),
        "many": save_translator(root / "many", seed=4, choices=CHOSEN, source_lang="en", target_lang="ROMANCE"),
    }


Make = Callable[..., BackTranslationAugmenter]


@pytest.fixture
def make(models: dict[str, Path]) -> Make:
    def made(
        forward: str = "en-de", backward: str = "de-en", *, journal: Path | None = None, **settings: Any
    ) -> BackTranslationAugmenter:
        given = {"batch_size": 4, "max_length": 16} | settings
        sources = {"forward": f"path:{models[forward]}", "backward": f"path:{models[backward]}"}
        return BackTranslationAugmenter(
            BackTranslation(**(sources | given)), Surroundings(journal=journal, device="cpu")
        )

    return made


@pytest.fixture
def undisturbed(make: Make) -> list[str]:
    return make().rewrite(TEXTS, SEEDS)


def refused(action: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        action()
    assert "\n" not in str(caught.value)


# Translations ---------------------------------------------------------------------------------------------------------


def test_the_same_seeds_give_the_same_texts_in_any_order(make: Make, undisturbed: list[str]) -> None:
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = make().rewrite([TEXTS[i] for i in order], [SEEDS[i] for i in order])
    assert shuffled == [undisturbed[i] for i in order]
    assert len(undisturbed) == len(TEXTS) and all(undisturbed)


def test_other_seeds_give_other_texts_when_sampling(make: Make, undisturbed: list[str]) -> None:
    others = [seed + 1 for seed in SEEDS]
    assert make().rewrite(TEXTS, others) != undisturbed
    copies = make().rewrite(TEXTS[:1] * 4, range(4))
    assert len(set(copies)) > 1


def test_sampling_leaves_the_random_state_alone(make: Make) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    make().rewrite(TEXTS[:4], SEEDS[:4])
    assert torch.rand(2).tolist() == expected


def test_the_likeliest_token_alone_is_greedy_decoding(make: Make, models: dict[str, Path]) -> None:
    from transformers import MarianMTModel

    built = make(top_k=1)
    name, translator, prefix = built.directions[0]
    assert (name, prefix) == ("forward", "")
    said = translator.translate(TEXTS[:1], seed=0)
    model = MarianMTModel.from_pretrained(models["en-de"]).eval()
    inputs = translator.tokenizer(TEXTS[:1], return_tensors="pt")
    tokens = model.generate(inputs["input_ids"], do_sample=False, num_beams=1, max_new_tokens=15)
    assert said == [translator.tokenizer.decode(tokens[0], skip_special_tokens=True)]


def test_a_beam_translates_a_text_once_and_one_way(make: Make) -> None:
    built = make(decoding="beam", beams=2)
    said = built.rewrite([*TEXTS[:3], TEXTS[0]], [1, 2, 3, 4])
    assert said[0] == said[3]
    assert built.computed == 2
    assert make(decoding="beam", beams=2).rewrite(TEXTS[:3], [7, 8, 9]) == said[:3]


def test_the_way_back_reads_what_the_way_out_wrote(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def translate(self: Translator, texts: Sequence[str], *, seed: int) -> list[str]:
        asked.append(list(texts))
        return [f"{text}+" for text in texts]

    monkeypatch.setattr(Translator, "translate", translate)
    assert make().rewrite(["bb", "a"], [1, 2]) == ["bb++", "a++"]
    assert asked == [["a", "bb"], ["a+", "bb+"]]


@pytest.mark.parametrize("empty", ["forward", "backward"])
def test_an_empty_translation_keeps_the_text(make: Make, monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    built = make()
    bare = built.directions[0 if empty == "forward" else 1][1]

    def translate(self: Translator, texts: Sequence[str], *, seed: int) -> list[str]:
        return ["" if self is bare and text.startswith("odd") else f"{text}+" for text in texts]

    monkeypatch.setattr(Translator, "translate", translate)
    assert built.rewrite(["odd one", "even"], [1, 2]) == ["odd one", "even++"]


def test_blank_texts_are_not_translated(make: Make) -> None:
    built = make()
    assert built.rewrite(["", "  "], [1, 2]) == ["", "  "]
    assert built.computed == 0


def test_long_texts_are_cut(make: Make) -> None:
    built = make(max_length=8)
    _, translator, _ = built.directions[0]
    long, cut = "good film " * 50, "good film good film good film good"
    assert translator.translate([long], seed=1) == translator.translate([cut], seed=1)
    assert len(built.rewrite([long], [1])[0].split()) <= 8


# Killed and started again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finished", range(1, 2 * BATCHES))
def test_a_killed_run_goes_on_to_the_same_texts(
    make: Make, undisturbed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: int
) -> None:
    whole, calls = Translator.translate, []

    def translate(self: Translator, texts: Sequence[str], *, seed: int) -> list[str]:
        if len(calls) == finished:
            raise KeyboardInterrupt
        calls.append(seed)
        return whole(self, texts, seed=seed)

    killed = make(journal=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Translator, "translate", translate)
        with pytest.raises(KeyboardInterrupt):
            killed.rewrite(TEXTS, SEEDS)
    resumed = make(journal=tmp_path)
    assert resumed.rewrite(TEXTS, SEEDS) == undisturbed
    assert resumed.computed == 2 * BATCHES - finished
    done = make(journal=tmp_path)
    assert done.rewrite(TEXTS, SEEDS) == undisturbed and done.computed == 0


def test_a_damaged_journal_is_begun_anew(
    make: Make, undisturbed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(journal=tmp_path).rewrite(TEXTS, SEEDS)
    (tmp_path / journal.NAME).write_bytes(b"no database" * 100)
    resumed = make(journal=tmp_path)
    assert resumed.rewrite(TEXTS, SEEDS) == undisturbed
    assert resumed.computed == 2 * BATCHES
    assert caplog.text.count("begun anew") == 1


@pytest.mark.parametrize("change", [{"top_k": 9}, {"temperature": 0.5}, {"max_length": 15}, {"decoding": "beam"}])
def test_batches_of_other_settings_are_not_taken(make: Make, tmp_path: Path, change: dict[str, Any]) -> None:
    make(journal=tmp_path).rewrite(TEXTS[:3], SEEDS[:3])
    other = make(journal=tmp_path, **change)
    assert other.rewrite(TEXTS[:3], SEEDS[:3]) == make(**change).rewrite(TEXTS[:3], SEEDS[:3])
    assert other.computed == 2


def test_batches_of_another_model_are_not_taken(make: Make, models: dict[str, Path], tmp_path: Path) -> None:
    make("silent", "de-en", pivot="de", journal=tmp_path).rewrite(TEXTS[:3], SEEDS[:3])
    other = make("en-de", "de-en", journal=tmp_path)
    other.rewrite(TEXTS[:3], SEEDS[:3])
    assert other.computed == 2


def test_a_full_disk_costs_the_journal_only(
    make: Make,
    undisturbed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        assert make(journal=tmp_path).rewrite(TEXTS, SEEDS) == undisturbed
    assert not (tmp_path / journal.NAME).exists()
    assert "disk is full; the work goes on" in caplog.text


# Languages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models_", "settings", "said"),
    [
        (("many", "de-en"), {}, "many' writes several languages; set pivot to one of: de, fr"),
        (("many", "de-en"), {"pivot": "fx"}, "many' has no token >>fx<< for pivot; did you mean 'fr'"),
        (("en-de", "many"), {"language": "dx"}, "many' has no token >>dx<< for language; did you mean 'de'"),
    ],
)
def test_a_language_that_a_multilingual_model_lacks_is_refused(
    make: Make, models_: tuple[str, str], settings: dict[str, str], said: str
) -> None:
    refused(lambda: make(*models_, **settings), said)


@pytest.mark.parametrize("settings", [{}, {"pivot": "de"}, {"language": "fr"}])
def test_a_model_of_one_pair_is_told_nothing(
    make: Make, caplog: pytest.LogCaptureFixture, settings: dict[str, str]
) -> None:
    built = make(**settings)
    assert [prefix for _, _, prefix in built.directions] == ["", ""]
    assert caplog.text == ""


def test_a_multilingual_model_is_told_the_language(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(Translator, "translate", lambda _, texts, seed: asked.append(list(texts)) or list(texts))
    make("many", "fr-en", pivot="fr").rewrite(["good film"], [1])
    assert asked == [[">>fr<< good film"], [">>fr<< good film"]]
    pieces = make("many", "fr-en", pivot="fr").directions[0][1].tokenizer.tokenize(">>fr<< good film")
    assert pieces == [">>fr<<", "good", "film"]


def test_codes_with_a_script_are_taken(make: Make) -> None:
    assert make(pivot="cmn_Hans").settings.pivot == "cmn_Hans"
