"""A deployed folder as a function from text to label. Light: needs only the folder's runtime."""

from pathlib import Path
from typing import get_args

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
from distilgrid.core.machine import MOST_THREADS
from distilgrid.core.sums import check_sums
from distilgrid.runtimes.base import Processor, RunOptions, UnsupportedError
from distilgrid.runtimes.registry import open_runtime
from distilgrid.runtimes.text_reader import TextReader
from distilgrid.tasks.kind import find_kind

FACTS = "deployed.json"
ADVICE = "copy the folder again, or write it with `distilgrid choose`"


class Classifier:
    """Classifies texts, or pairs of texts, with a folder of `distilgrid choose`.

    By default, it takes the threads and the processor of the measurement. Raises UserError without such a folder or the
    runtime's packages, for a damaged file, or when the runtime does not support the processor.
    """

    def __init__(self, folder: Path | str, *, threads: int | None = None, processor: Processor | None = None) -> None:
        _check(folder, threads, processor)
        check_sums(Path(folder), advice=ADVICE)
        facts = read_json(Path(folder) / FACTS)
        measured = facts.get("measured", {})
        how = RunOptions(threads or measured.get("threads", 1), processor or measured.get("processor", "cpu"))
        self._folder, self._pair = folder, facts.get("pair")  # folders from before do not say
        self._labels: list[str] = facts["labels"]
        self._kind = find_kind(facts["kind"])
        self._reader = TextReader(Path(folder), names=facts["inputs"], longest=facts["max_length"])
        try:
            self._session = open_runtime(facts["runtime"])(Path(folder), how)
        except UnsupportedError as reason:
            raise UserError(f"{folder}: {facts['runtime']} on processor '{how.processor}': {reason}") from None

    def __call__(self, text: str, pair: str | None = None) -> str | float:
        """The label of a text, or the number of a regression.

        Raises UserError for a second text that the model was not trained to read, or without one that it needs.
        """
        if self._pair is not None and self._pair != (pair is not None):
            wanted = "pairs of texts; give two" if self._pair else "single texts; leave the second one out"
            raise UserError(f"{self._folder}: its model reads {wanted}")
        return self._kind.answer(self._session.bind(self._reader(text, pair))(), self._labels)


def _check(folder: Path | str, threads: int | None, processor: str | None) -> None:
    known = get_args(Processor)
    if processor is not None and processor not in known:
        raise UserError(f"{folder}: unknown processor '{processor}'; take one of: {', '.join(known)}")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UserError(f"{folder}: {threads} threads are too many or too few; take 1 to {MOST_THREADS}")
