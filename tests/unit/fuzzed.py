"""What the tests with drawn inputs share: how many they draw, and what a refusal looks like."""

import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings

from distilgrid.core.errors import UserError

FUZZ = os.environ.get("DISTILGRID_FUZZ")  # so many inputs for each test, other ones each time; else always the same


def cases(count: int) -> settings:
    """So many inputs."""
    return settings(
        max_examples=int(FUZZ or count),
        derandomize=FUZZ is None,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def refusal(call: Callable[[], object]) -> str | None:
    """What a call refuses its input with, one line that says something; None where it takes it."""
    try:
        call()
    except UserError as error:
        text = str(error)
    else:
        return None
    assert text.strip()
    assert "\n" not in text and "\r" not in text, text
    assert "Traceback" not in text
    return text
