"""Time from a text of 2 MB to its tokens, cut before the tokeniser and not: words, Chinese, one long word, white space.

Run it from the root of the repository: python benchmarks/long_texts.py FOLDER, with a folder of tokenizer.json.
"""

import sys
import time
from pathlib import Path

from tokenizers import Tokenizer

from distilgrid.tasks.long_texts import TextCutter

LENGTH, CHARACTERS = 128, 2_000_000
TEXTS = {"words": "good film ", "Chinese": "好电影。", "one word": "x", "white space": " "}


def seconds(tokenizer: Tokenizer, text: str, cutter: TextCutter | None) -> tuple[float, list[int]]:
    """The time of one text, and its tokens."""
    start = time.perf_counter()
    ids = tokenizer.encode(*(cutter(text) if cutter else (text, None))).ids
    return time.perf_counter() - start, ids


def main() -> None:
    """Print a row for each kind of text."""
    tokenizer = Tokenizer.from_file(str(Path(sys.argv[1]) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH)
    cutter = TextCutter(tokenizer, longest=LENGTH)
    for name, piece in TEXTS.items():
        text = "a " + piece * (CHARACTERS // len(piece))
        (whole, expected), (cut, found) = (seconds(tokenizer, text, each) for each in (None, cutter))
        same = "the same tokens" if found == expected else "OTHER TOKENS"
        print(f"{name:12} whole {whole:6.3f} s, cut {cut:6.3f} s, {same}")


if __name__ == "__main__":
    main()
