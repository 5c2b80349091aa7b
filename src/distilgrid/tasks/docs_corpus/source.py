"""The docs corpus as a source of tasks."""

from distilgrid.tasks import docs_corpus
from distilgrid.tasks.sources import Folders, Raw
from distilgrid.tasks.spec import TaskSpec


def revision(spec: TaskSpec, folders: Folders) -> str:
    """Versions of the corpus and of the libraries. Raises UserError when a library is missing."""
    return docs_corpus.revision()


def load(spec: TaskSpec, folders: Folders) -> Raw:
    """Rows of a task. Raises UserError when a library is missing."""
    return Raw(docs_corpus.build(spec.locator), ["docs corpus: docstrings of installed libraries"])
