"""Long texts: tokenisers read a prefix, and its tokens are those of the whole text, whatever the text and tokeniser."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from distilgrid.models.io import load_tokenizer
from distilgrid.runtimes.text_reader import TextReader
from distilgrid.tasks import long_texts
from distilgrid.tasks.batching import encode
from distilgrid.tasks.kinds.label.tensors import BATCH
from distilgrid.tasks.long_texts import EXACT, LEAST, PER_TOKEN, WORTH, TextCutter, cut_rows, first_characters

MEGABYTES = "good film was very bright " * 80_000  # 2 MB
LENGTH = 16
CORPUS = ["the good film was very bright and the story was not", "a dull plot, 1234567 words", "don't we'll 好电影 é"]
PIECES = [
    *("the", "good", "film", "brightstory", "don't", "x", "1234567", "好电影", "é", "e\u0301\u0323", "🙂", "한국어"),
    *("<mask>", "<ma", "Ω", "ﬁ", "\u200d", "x" * 110, " " * 50),
    *(" ", "  ", "\n", "\t \n", "\u00a0", "\u3000", ".", "...!", "-", ","),
]


def trained(model: Any, trainer: Any, *, before: Any, normaliser: Any = None) -> Tokenizer:
    """A tokeniser with a mask that takes the white space before it, and one special token around each text."""
    made = Tokenizer(model)
    if normaliser is not None:
        made.normalizer = normaliser
    if before is not None:
        made.pre_tokenizer = before
    made.train_from_iterator(CORPUS * 3, trainer)
    made.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<s>")])
    start = made.token_to_id("<s>")
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A <s>", pair="<s> $A <s> $B:1 <s>:1", special_tokens=[("<s>", start)]
    )
    return made


def kinds() -> Iterator[tuple[str, Tokenizer]]:
    unknown = {"special_tokens": ["[UNK]"], "show_progress": False}
    yield (
        "BERT",
        trained(
            models.WordPiece(unk_token="[UNK]"),
            trainers.WordPieceTrainer(vocab_size=120, **unknown),
            before=pre_tokenizers.BertPreTokenizer(),
            normaliser=normalizers.BertNormalizer(),
        ),
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    yield (
        "RoBERTa",
        trained(
            models.BPE(),
            trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False),
            before=pre_tokenizers.ByteLevel(add_prefix_space=False),
        ),
    )
    yield (
        "XLM-R",
        trained(
            models.Unigram(),
            trainers.UnigramTrainer(vocab_size=90, unk_token="[UNK]", **unknown),
            before=pre_tokenizers.Metaspace(),
            normaliser=normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")]),
        ),
    )
    yield (
        "one piece",
        trained(
            models.BPE(unk_token="[UNK]"),
            trainers.BpeTrainer(vocab_size=120, **unknown),
            before=None,
            normaliser=normalizers.Replace(" ", "▁"),
        ),
    )


TOKENISERS = dict(kinds())


@pytest.fixture
def short_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefixes of a few characters that grow in small steps, so that each text is cut, and nearly too early."""
    for name, value in {"LEAST": 8, "PER_TOKEN": 2, "WORTH": 1, "ANYWHERE": 40, "TOKENS": 60}.items():
        monkeypatch.setattr(long_texts, name, value)


def tokens(tokeniser: Tokenizer, *texts: str | None) -> list[tuple[Any, ...]]:
    read = tokeniser.encode(*texts)
    return list(zip(read.ids, read.type_ids, read.offsets, read.sequence_ids, strict=True))


TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).flatmap(
    lambda pieces: st.integers(1, 3).map(lambda times: "".join(pieces) * times)
)


@pytest.mark.usefixtures("short_prefixes")
@pytest.mark.parametrize("name", TOKENISERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, other=st.one_of(st.none(), TEXTS), longest=st.integers(8, 30))
def test_a_cut_text_has_the_tokens_of_the_whole(name: str, text: str, other: str | None, longest: int) -> None:
    tokeniser = TOKENISERS[name]
    tokeniser.enable_truncation(longest)
    assert tokens(tokeniser, *TextCutter(tokeniser, longest=longest)(text, other)) == tokens(tokeniser, text, other)


@pytest.mark.usefixtures("short_prefixes")
@pytest.mark.parametrize("name", TOKENISERS)
def test_a_text_is_cut_with_and_without_white_space(name: str) -> None:
    tokeniser = TOKENISERS[name]
    tokeniser.enable_truncation(LENGTH)
    for text in ("the good film " * 800, "好电影" * 1600):
        cut, none = TextCutter(tokeniser, longest=LENGTH)(text)
        assert none is None
        if not (name == "XLM-R" and " " not in text):  # which reads a text without white space as one word
            assert len(cut) < len(text) / 2


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return load_tokenizer(tiny_model)


def reached(monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> list[int]:
    """The characters of each text that transformers' tokeniser is given."""
    seen: list[int] = []
    kept = type(tokenizer).__call__

    def call(self: Any, first: Any, second: Any = None, **options: Any) -> Any:
        seen.extend(len(text) for texts in (first, second) if texts is not None for text in texts)
        return kept(self, first, second, **options)

    monkeypatch.setattr(type(tokenizer), "__call__", call)
    return seen


MOST = WORTH * max(LEAST, PER_TOKEN * LENGTH)


def test_rows_reach_the_tokeniser_cut(monkeypatch: pytest.MonkeyPatch, model: Any) -> None:
    """Those of data sets, of unlabelled texts and of served models: all pass `encode`."""
    seen = reached(monkeypatch, model)
    encoded = encode(model, ["good film", MEGABYTES], None, max_length=LENGTH)
    assert seen[0] == 9 and seen[1] <= MOST
    short = encode(model, ["good film", MEGABYTES[:1000]], None, max_length=LENGTH)
    assert encoded.tokens.tolist() == short.tokens.tolist()
    seen.clear()
    frame = pd.DataFrame({"text": [MEGABYTES, "a"], "text_pair": ["bad plot", MEGABYTES]})
    BATCH.given(frame, tokenizer=model, max_length=LENGTH, pair=True)
    assert max(seen) <= MOST and len(seen) == 4


def test_a_deployed_text_reaches_the_tokeniser_cut(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    reader = TextReader(tiny_model, names=["input_ids"], longest=64)
    whole, seen = reader._tokenizer, []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(whole, name)

        def encode(self, *texts: str | None, **options: Any) -> Any:
            seen.extend(len(text) for text in texts if text is not None)
            return whole.encode(*texts, **options)

    monkeypatch.setattr(reader, "_tokenizer", Counting())
    monkeypatch.setattr(reader._cut, "_tokenizer", Counting())
    read = reader(MEGABYTES, MEGABYTES[1:])["input_ids"]
    assert max(seen) <= 9 * MOST
    np.testing.assert_array_equal(read[0], whole.encode(MEGABYTES[:900], MEGABYTES[1:800]).ids)


def test_short_texts_and_the_state_of_the_tokeniser_stay(model: Any) -> None:
    before = model.backend_tokenizer.to_str()
    given_rows = ["good " * 500, ""], ["x" * 8000, "film"]
    assert cut_rows(model, *given_rows, longest=LENGTH) == given_rows
    assert model.backend_tokenizer.to_str() == before
    encode(model, ["good film"], None, max_length=LENGTH)
    plain = model.backend_tokenizer.to_str()
    encode(model, [MEGABYTES], None, max_length=LENGTH)
    assert model.backend_tokenizer.to_str() == plain


def test_a_tokeniser_that_keeps_the_end_gets_it(model: Any) -> None:
    model.truncation_side = "left"
    assert cut_rows(model, [MEGABYTES], None, longest=LENGTH) == ([MEGABYTES], None)


@pytest.mark.usefixtures("short_prefixes")
@pytest.mark.parametrize("longest", [7, 8])
@pytest.mark.parametrize(("first", "second"), [(600, 500), (500, 600), (600, 12), (12, 600), (600, 600)])
def test_of_a_pair_the_longer_text_keeps_the_odd_token(tiny_model: Path, first: int, second: int, longest: int) -> None:
    """Also where the order in characters is another one than in tokens."""
    reader = TextReader(tiny_model, names=["input_ids", "token_type_ids"], longest=longest)
    texts = ("superb " * (first // 7), "is " * (second // 3))
    expected = reader._tokenizer.encode(*texts)
    read = reader(*texts)
    assert read["input_ids"][0].tolist() == expected.ids
    assert read["token_type_ids"][0].tolist() == expected.type_ids
    assert max(map(len, texts)) <= EXACT


def test_a_tokeniser_that_names_no_words_is_asked_for_whole_ones() -> None:
    """As of models that translate."""
    asked: list[int] = []

    def tokenize(text: str) -> list[str]:
        asked.append(len(text))
        return text.split()

    slow: Any = SimpleNamespace(is_fast=False, truncation_side="right", tokenize=tokenize)
    (cut,), _ = cut_rows(slow, [MEGABYTES], None, longest=LENGTH)
    assert len(cut) <= MOST and MEGABYTES.startswith(cut) and max(asked) <= MOST
    for text in ("x" * 100_000, " " * 100_000):
        assert cut_rows(slow, [text], None, longest=LENGTH) == ([text], None)


def test_the_characters_for_a_copied_line_hold_more_than_the_tokens(tiny_model: Path) -> None:
    assert first_characters(LENGTH) >= LEAST
    assert first_characters(512) > PER_TOKEN * 512
