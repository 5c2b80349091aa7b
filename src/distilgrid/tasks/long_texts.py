"""Long texts, cut by characters before a tokeniser reads them. Light: no torch.

A tokeniser reads a text to its end, a megabyte in seconds, and then drops all but the first tokens. A prefix gives the
same tokens where its end cannot reach them. Normalisers change a character by its neighbours at most, tokenisers split
a text into words from left to right, and models read word by word. So all words but the last ones of a prefix are those
of the text. A prefix is enough when the last token that is kept lies `WORDS` words before its end, with white space
in between, or `ANYWHERE` words. Within one long word, as of Chinese for some tokenisers, `TOKENS` tokens are enough:
models that merge characters or weigh pieces look a few tokens ahead. A prefix grows until then, at last to the whole
text. So tokens are those of the whole text after long white space, too.

Of a pair, the longer text is cut first, and keeps the odd token when both are cut to halves. So prefixes keep the order
of the two numbers of tokens. Where both texts are long, they are counted, one by one. Beyond `EXACT` characters, the
numbers of characters decide. A tokeniser that is given two long texts makes a list of all pairs of what it drops, which
takes the square of their length.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

LEAST = 4096
"""The shortest prefix that is tried, in characters."""
PER_TOKEN = 16
"""Characters of the first prefix for each token that is kept; English words have 5 or 6."""
WORTH = 4
"""Texts no longer than this many first prefixes stay whole: reading a prefix of them would save no time."""
GROWTH, WORDS, ANYWHERE, TOKENS, EXACT = 8, 16, 256, 1024, 100_000
GENEROUS = 64
"""Characters for each token that more than hold any text in words, for callers without a tokeniser's answer."""


class TextCutter:
    """Cuts texts, and pairs of texts, for a tokeniser that truncates at `longest` tokens, the longer text first.

    The tokeniser must have this truncation and no padding while it is asked.
    """

    def __init__(self, tokenizer: "Tokenizer", *, longest: int) -> None:
        self._tokenizer, self._first = tokenizer, max(LEAST, PER_TOKEN * longest)

    def reads_all(self, text: str | None) -> bool:
        """Whether a text is too short to be cut."""
        return text is None or len(text) <= WORTH * self._first

    def __call__(self, first: str, second: str | None = None) -> tuple[str, str | None]:
        """The part of the text or pair that its tokens can come from."""
        if self.reads_all(first) and self.reads_all(second):
            return first, second
        a, b = self._cut(first), None if second is None else self._cut(second)
        if second is None or b is None or first == second:  # equal texts have equal prefixes
            return a, b
        if len(a) < len(first) and (len(b) == len(second) or self._is_longer(first, second)):
            return self._longer(first, a, than=b), b
        return a, self._longer(second, b, than=a)

    def _cut(self, text: str) -> str:
        return text if self.reads_all(text) else shortest(text, self._first, self._is_enough)

    def _is_longer(self, one: str, other: str) -> bool:
        """Whether the first of two long texts has more tokens, or more characters where both have very many."""
        if max(len(one), len(other)) > EXACT:
            return len(one) > len(other)
        return len(self._words(one)) > len(self._words(other))

    def _longer(self, text: str, prefix: str, *, than: str) -> str:
        """A prefix that certainly has more tokens than another text."""
        most = len(self._words(than))
        return shortest(text, len(prefix), lambda longer: self._certain(longer) > most, growth=2)

    def _is_enough(self, prefix: str) -> bool:
        read = self._tokenizer.encode(prefix, add_special_tokens=False)
        if not read.overflowing:
            return False
        words = (read.overflowing[-1].word_ids[-1] or 0) - (read.word_ids[-1] or 0)
        if words >= WORDS and any(map(str.isspace, prefix[read.offsets[-1][1] :])):
            return True
        return words >= ANYWHERE or sum(map(len, read.overflowing)) >= TOKENS

    def _words(self, text: str) -> list[int]:
        """The number of the word of each token, those of dropped tokens included."""
        read = self._tokenizer.encode(text, add_special_tokens=False)
        return [word or 0 for part in (read, *read.overflowing) for word in part.word_ids]

    def _certain(self, prefix: str) -> int:
        """The number of tokens that do not depend on what follows."""
        words = self._words(prefix)
        return max(len(words) - TOKENS, sum(word <= words[-1] - WORDS for word in words))


def shortest(text: str, size: int, is_enough: Callable[[str], bool], *, growth: int = GROWTH) -> str:
    """The first of growing prefixes that is enough, or the whole text."""
    while size < len(text):
        if is_enough(text[:size]):
            return text[:size]
        size *= growth
    return text


def cut_rows(
    tokenizer: "PreTrainedTokenizerBase", first: Sequence[str], second: Sequence[str] | None, *, longest: int
) -> tuple[list[str], list[str] | None]:
    """Texts, or pairs, cut for a tokeniser of transformers that is called with `truncation=True` and this length.

    Texts stay whole where the tokeniser keeps their ends, and pairs also where it is not one of the library
    `tokenizers`.
    """
    given = list(first), None if second is None else list(second)
    if tokenizer.truncation_side != "right":
        return given
    if not tokenizer.is_fast:
        return given if second is not None else ([_cut_slowly(tokenizer, text, longest) for text in first], None)
    backend = tokenizer.backend_tokenizer
    cutter = TextCutter(backend, longest=longest)
    if all(map(cutter.reads_all, (*first, *(second or ())))):
        return given
    backend.enable_truncation(longest)  # as the call will
    backend.no_padding()
    others: Sequence[str | None] = second or [None] * len(first)
    cut = [cutter(*row) for row in zip(first, others, strict=True)]
    return [a for a, _ in cut], None if second is None else [str(b) for _, b in cut]


def _cut_slowly(tokenizer: "PreTrainedTokenizerBase", text: str, longest: int) -> str:
    """A text, cut for a tokeniser that does not say where words are; words between white space are read one by one."""

    def is_enough(prefix: str) -> bool:
        whole = prefix.rsplit(None, 1)[:-1]
        return bool(whole) and len(tokenizer.tokenize(whole[0])) >= longest + WORDS

    first = max(LEAST, PER_TOKEN * longest)
    return text if len(text) <= WORTH * first else shortest(text, first, is_enough)


def first_characters(longest: int) -> int:
    """A number of characters that holds more than `longest` tokens of any text in words."""
    return max(LEAST, GENEROUS * longest)
