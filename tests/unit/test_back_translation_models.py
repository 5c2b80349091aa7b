"""Translation models: missing, damaged or of the wrong kind; and tokenisers as they are published."""

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tests.conftest import sentences
from tests.unit.tiny_augmentation import save_encoder, save_translator

from distilgrid.augmentation.back_translation.declare import BackTranslation
from distilgrid.augmentation.back_translation.rows import Translator
from distilgrid.core.errors import UserError


def refused(action: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        action()
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_translator(tmp_path_factory.mktemp("translator"), source_lang="de", target_lang="en")


@pytest.fixture
def broken(whole: Path, tmp_path: Path) -> Path:
    """A copy of a translator, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "broken"))


def translator(folder: Path | str) -> Translator:
    settings = BackTranslation(forward="path:unused", backward="path:unused")
    return Translator(f"path:{folder}", settings, device=torch.device("cpu"))


def test_a_missing_model_is_one_line() -> None:
    refused(
        lambda: translator("/nowhere/model"), "model source 'path:/nowhere/model': no config.json in /nowhere/model"
    )


def test_a_model_that_does_not_translate_is_refused(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "bert", head=True)
    refused(lambda: translator(folder), "its type 'bert' does not translate; take a sequence-to-sequence model")


def test_damaged_files_are_one_line(broken: Path) -> None:
    (broken / "model.safetensors").write_bytes(b"short")
    refused(
        lambda: translator(broken).translate(["good"], seed=0), r"broken': model cannot be loaded .*are its files whole"
    )
    (broken / "config.json").write_text("{")
    refused(lambda: translator(broken), r"broken': config.json cannot be read")


def test_absent_weights_are_named(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(broken / "model.safetensors")
    del state["model.encoder.layers.0.fc1.weight"]
    save_file(state, broken / "model.safetensors", metadata={"format": "pt"})
    refused(
        lambda: translator(broken).translate(["good"], seed=0), "the weights lack 'model.encoder.layers.0.fc1.weight'"
    )


def test_sentencepiece_is_asked_for(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distilgrid.augmentation.back_translation import rows as module

    (broken / "source.spm").write_bytes(b"")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    refused(lambda: translator(broken), "its tokeniser needs sentencepiece; pip install sentencepiece")


@pytest.mark.skipif(find_spec("sentencepiece") is None, reason="needs sentencepiece")
def test_a_published_models_tokeniser_works_too(broken: Path) -> None:
    """A folder as Helsinki-NLP publishes them: source.spm, target.spm and vocab.json."""
    import io

    import sentencepiece

    model = io.BytesIO()
    texts = [text for text, _ in sentences(400, seed=1)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    named = [pieces.id_to_piece(i) for i in range(len(pieces))]
    vocabulary = list(dict.fromkeys(["</s>", "<unk>", "<pad>", *(name for name in named if name != "<s>")]))
    size = json.loads((broken / "config.json").read_text())["vocab_size"]
    for name in ("source.spm", "target.spm"):
        (broken / name).write_bytes(model.getvalue())
    (broken / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(vocabulary[:size])}))
    (broken / "tokenizer.json").unlink()
    said = {"tokenizer_class": "MarianTokenizer", "source_lang": "de", "target_lang": "en"}
    (broken / "tokenizer_config.json").write_text(json.dumps(said))
    made = translator(broken)
    assert type(made.tokenizer).__name__ == "MarianTokenizer"
    new = made.translate(["good film", "the plot was dull"], seed=1)
    assert new == made.translate(["good film", "the plot was dull"], seed=1) and any(new)
    assert not any("\u2581" in text or "</s>" in text for text in new)
