"""Progress of long work: a bar with a time estimate on a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
LOG_SECONDS = 10.0
log = logging.getLogger("distilgrid")


def progress(items: Iterable[Item], *, total: int, label: str) -> Iterator[Item]:
    """The items, with their progress shown on standard error."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=label, mininterval=0.5, leave=False)
        return
    started = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - said >= LOG_SECONDS:
            left = (now - started) / done * (total - done)
            log.info("%s: %d of %d, about %.0f s left", label, done, total, left)
            said = now
        yield item
