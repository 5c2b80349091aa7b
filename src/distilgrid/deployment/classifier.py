"""A deployed folder as a function from text to label. Light: needs only the folder's runtime."""

from pathlib import Path

from distilgrid.core.artefacts import read_json
from distilgrid.core.errors import UserError
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
        check_sums(Path(folder), advice=ADVICE)
        facts = read_json(Path(folder) / FACTS)
        measured = facts.get("measured", {})
        how = RunOptions(threads or measured.get("threads", 1), processor or measured.get("processor", "cpu"))
        self._labels: list[str] = facts["labels"]
        self._kind = find_kind(facts["kind"])
        self._reader = TextReader(Path(folder), names=facts["inputs"], longest=facts["max_length"])
        try:
            self._session = open_runtime(facts["runtime"])(Path(folder), how)
        except UnsupportedError as reason:
            raise UserError(f"{folder}: {facts['runtime']} on processor '{how.processor}': {reason}") from None

    def __call__(self, text: str, pair: str | None = None) -> str | float:
        """The label of a text, or the number of a regression."""
        return self._kind.answer(self._session.bind(self._reader(text, pair))(), self._labels)
