"""The line that a refusal shows."""

from collections.abc import Callable

import pytest

from distilgrid.core.errors import UserError


def refused(run: Callable[[], object]) -> str:
    """The message of the UserError that a call raises: one line."""
    with pytest.raises(UserError) as caught:
        run()
    assert "\n" not in str(caught.value)
    return str(caught.value)
