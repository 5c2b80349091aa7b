"""Rows that are alike: against a plain loop over all pairs, and what normalisation forgets."""

import itertools

import numpy as np
import pandas as pd
import pytest

from distilgrid.tasks.likeness import likeness, normalised, row_texts, shingles


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A man plays the guitar.", "a man plays the  guitar"),
        ("It's well-known!", "it s well known"),
        ("caf\u00e9", "cafe\u0301"),
        ("STRASSE", "stra\u00dfe"),
    ],
)
def test_case_space_and_punctuation_do_not_count(first: str, second: str) -> None:
    assert normalised(first) == normalised(second)


def test_symbols_numbers_and_bare_punctuation_count() -> None:
    assert len({normalised(text) for text in ("c++", "c", "1.5", "15", "?!", "...")}) == 6


def test_the_order_of_a_pair_does_not_count() -> None:
    frame = pd.DataFrame({"text_a": ["One man.", "b"], "text_b": ["two men", "a"]})
    swapped = frame.rename(columns={"text_a": "text_b", "text_b": "text_a"})
    assert row_texts(frame) == row_texts(swapped)
    assert row_texts(frame) != row_texts(frame.assign(text_b=["two", "men a"]))


def brute(rows: list[str], known: list[str], threshold: float) -> list[bool]:
    def jaccard(a: str, b: str) -> float:
        first, second = set(shingles(a)), set(shingles(b))
        return len(first & second) / len(first | second)

    return [row not in known and any(jaccard(row, other) >= threshold - 1e-9 for other in known) for row in rows]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 1.0])
def test_near_rows_are_those_of_a_loop_over_all_pairs(threshold: float) -> None:
    chooser = np.random.default_rng(0)
    words = [f"w{int(n)}" for n in chooser.geometric(0.15, size=4000)]
    lengths = iter(chooser.integers(1, 9, size=400).tolist())
    texts = [" ".join(itertools.islice(iter(words[n * 9 :]), length)) for n, length in enumerate(lengths)]
    rows, known = texts[:150], texts[150:]
    found = likeness(rows, known, threshold=threshold)
    assert found.equal.tolist() == [row in known for row in rows]
    expected = brute(rows, known, threshold)
    assert found.near.tolist() == expected
    assert threshold == 1 or any(expected)


def test_one_changed_word_of_a_long_text_is_near() -> None:
    text = "the committee will meet again on friday to talk about the new budget"
    other = "they never saw the committee talk about money on a friday"
    found = likeness([text.replace("friday", "monday"), other], [text])
    assert found.counts == {"equal": 0, "near": 1} and found.near[0]


def test_nothing_is_like_nothing() -> None:
    assert likeness(["a"], []).counts == likeness([], ["a"]).counts == {"equal": 0, "near": 0}
