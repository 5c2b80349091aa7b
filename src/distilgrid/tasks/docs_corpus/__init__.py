"""The docs corpus: human-written English from the docstrings of libraries that are installed anyway. Works offline.

`docs-topic`: which library does this sentence document? One sentence, one class per library.
`docs-match`: does this summary line belong to this description? Wrong ones are of the same library.

Names of the libraries are masked, no text occurs twice, and no source file is in two splits. Rows depend on nothing but
`VERSION` and the versions of the libraries, which `revision()` names.
"""

import functools
from importlib import metadata
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from distilgrid.tasks.docs_corpus.rows import Corpus

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
"""The package to read of each library, by distribution name."""

LIBRARIES = tuple(PACKAGES)
"""Distribution names; their order is that of the labels of `docs-topic`."""

TOPIC_LABELS = LIBRARIES
MATCH_LABELS = ("no-match", "match")
COLUMNS = {"docs-topic": ["sentence", "label"], "docs-match": ["summary", "description", "label"]}


def revision() -> str:
    """What decides the rows: the corpus version and the versions of the libraries. Light: reads no source file. Raises
    UserError when a library is not installed."""
    return f"docs-corpus-v{VERSION}:" + ",".join(f"{library}={_version(library)}" for library in PACKAGES)


def build(task: str) -> "dict[str, pd.DataFrame]":
    """The rows of `docs-topic` or `docs-match` as frames `train`, `dev` and `validation`, the label an integer.

    Takes some ten seconds for the first task of a process, and a second for the other. Raises UserError for an unknown
    task, or when a library is not installed.
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
        library: [read_entry(found.module, found.text) for found in read_docstrings(package_folder(package))]
        for library, package in PACKAGES.items()
    }
