"""What tests expect of the command line, run within their process (the fixture `run`)."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]


def one_line(result: tuple[int, str, str]) -> str:
    """The complaint of a command that was given bad input."""
    code, _, errors = result
    assert code == 2, errors
    assert errors.startswith("distilgrid: ")
    assert errors.count("\n") == 1
    assert "Traceback" not in errors
    return errors
