"""The one error type that users are meant to see, and the "did you mean" helper."""

import difflib
import re
from collections.abc import Iterable

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """Bad input: the message is one line that names the file, key or row and says what to do.

    The command line prints it without a traceback and exits with code 2. A name from a file may hold control
    characters, line breaks, marks that turn the direction of writing, or lone surrogates: they are shown as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], message))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known name, or the list of all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"choose one of: {', '.join(names)}" if names else "none is defined"
