"""Texts as words and gaps between them: text that is not rewritten stays the same to the character."""

import re
from dataclasses import dataclass

WORD = re.compile(r"\w+(?:['’]\w+)*")  # noqa: RUF001  # don't is one word, well-made two, an identifier one


@dataclass
class Words:
    """A text of N words, split."""

    words: list[str]
    # N + 1 pieces of punctuation and space before, between and after the words; inner ones are never empty
    gaps: list[str]
    starts: list[int]  # start of each word in the original text

    @classmethod
    def of(cls, text: str) -> "Words":
        """Split a text, whose words are separated by spaces or punctuation."""
        found = list(WORD.finditer(text))
        ends = [0, *(match.end() for match in found)]
        starts = [match.start() for match in found]
        gaps = [text[end:start] for end, start in zip(ends, [*starts, len(text)], strict=True)]
        return cls([match.group() for match in found], gaps, starts)

    def text(self) -> str:
        """Words and gaps, joined."""
        inner = (word + gap for word, gap in zip(self.words, self.gaps[1:], strict=True))
        return self.gaps[0] + "".join(inner)

    def insert(self, place: int, word: str) -> None:
        """Insert a word before the word at `place`, or after the last word; punctuation stays with its word."""
        self.gaps.insert(place + 1 if place < len(self.words) else place, " ")
        self.words.insert(place, word)

    def delete(self, place: int) -> None:
        """Delete a word and one of the spaces around it."""
        del self.words[place]
        before, after = self.gaps[place : place + 2]
        if place == 0 and not before:
            after = after.lstrip()
        elif before[-1:].isspace() and (after[:1].isspace() or not after):
            before = before[:-1]
        self.gaps[place : place + 2] = [before + after]


def in_case_of(original: str, word: str) -> str:
    """A word with the capitals of the word that it replaces: all of them, or the first letter's."""
    if len(original) > 1 and original.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if original[:1].isupper() else word


def is_content(word: str, *, stop_words: bool = False) -> bool:
    """Whether a word may be replaced: it has letters only, and is a stop word only where these count."""
    return word.isalpha() and (stop_words or word.lower() not in STOP_WORDS)


# The English list of NLTK, of which TinyBERT's and EDA's code each hold a copy; words with an apostrophe never qualify.
_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its
itself they them their theirs themselves what which who whom this that these those am is are was were be been being have
has had having do does did doing a an the and but if or because as until while of at by for with about against between
into through during before after above below to from up down in out on off over under again further then once here there
when where why how all any both each few more most other some such no nor not only own same so than too very s t can
will just don should now d ll m o re ve y ain aren couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan
shouldn wasn weren won wouldn
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
