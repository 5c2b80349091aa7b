"""The docs corpus: human-written English from docstrings of installed libraries. Works offline.

`docs-topic`: which library does this sentence document? Each library is a class.
`docs-match`: does this summary line belong to this description? Wrong ones come from the same library.

Names of the libraries are masked, texts are unique, and each source file belongs to one split. Rows depend only on
`VERSION` and the versions of the libraries, which `revision()` names.
"""

import functools
from importlib import metadata
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.docs_corpus.rows import Corpus
    from distilgrid.tasks.sources import Folders, Raw
    from distilgrid.tasks.spec import TaskSpec

VERSION = 1
"""Bumped when the corpus may change for the same versions of the libraries."""

PACKAGES = {
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "numpy": "numpy",
    "pandas": "pandas",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "sqlalchemy": "sqlalchemy",
    "sympy": "sympy",
}
"""The package to read of each library, by distribution name, in the order of the labels of `docs-topic`."""

COLUMNS = {"docs-topic": ["sentence", "label"], "docs-match": ["summary", "description", "label"]}


def revision(spec: "TaskSpec | None" = None, folders: "Folders | None" = None) -> str:
    """The versions of the corpus and its libraries, without reading files. Raises UserError for a missing library."""
    return f"docs-corpus-v{VERSION}:" + ",".join(f"{library}={_version(library)}" for library in PACKAGES)


def load(spec: "TaskSpec", folders: "Folders") -> "Raw":
    """Rows of a task. Raises UserError when a library is missing."""
    from distilgrid.tasks.sources import Raw

    return Raw(build(spec.locator), ["docs corpus: docstrings of installed libraries"])


def build(task: str) -> "dict[str, pd.DataFrame]":
    """Build the frames `train`, `dev` and `validation` of `docs-topic` or `docs-match`, with integer labels.

    The first task of a process takes about ten seconds, the other one second. Raises UserError for an unknown task or a
    missing library.
    """
    import pandas as pd

    from distilgrid.tasks.docs_corpus.rows import match_rows, topic_rows

    if task not in COLUMNS:
        raise UserError(f"docs corpus: unknown task '{task}'; {did_you_mean(task, COLUMNS)}")
    rows = (topic_rows if task == "docs-topic" else match_rows)(_corpus(revision()))
    return {split: pd.DataFrame(found, columns=COLUMNS[task]) for split, found in rows.items()}


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        message = f"docs corpus: {library} is not installed; install it (pip install 'distilgrid[corpus]')"
        raise UserError(message) from None


@functools.lru_cache(maxsize=1)
def _corpus(_revision: str) -> "Corpus":
    """All sentences, read once per process for both tasks."""
    from distilgrid.tasks.docs_corpus.installed import package_folder, read_docstrings
    from distilgrid.tasks.docs_corpus.sentences import read_entry

    return {
        library: [read_entry(module, text) for module, text in read_docstrings(package_folder(package))]
        for library, package in PACKAGES.items()
    }
