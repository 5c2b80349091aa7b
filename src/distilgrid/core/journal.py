"""Findings of unfinished work in one SQLite file, so that a killed job continues where it stopped."""

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import canonical_json

NAME = "journal.sqlite"
PATIENCE_SECONDS = 60.0  # for other writers; a write takes milliseconds
TABLE = "CREATE TABLE IF NOT EXISTS findings (about TEXT PRIMARY KEY, found TEXT NOT NULL) WITHOUT ROWID"
DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
log = logging.getLogger("distilgrid")


class Journal:
    """JSON values by key, in a folder; the first writer's value stands. Without a folder it keeps nothing.

    Concurrent jobs may share a journal. A measured time differs each time: all jobs take the value that was kept first,
    so they agree, and a resumed job sees what it saw before. Each value is a transaction with its own sync, so a kill
    loses at most the value being written. Floats come back bit by bit.

    Every access opens the file anew: a connection does not survive a fork, and an open one would outlive the folder.

    A damaged file, or a value that cannot be kept, raises UserError where the journal is `required`. Otherwise it is a
    warning, and the values are found again.
    """

    def __init__(self, folder: Path | None, *, required: bool = True) -> None:
        self.path = None if folder is None else folder / NAME
        self._required = required

    def find(self, about: str | Mapping[str, Any]) -> Any:
        """The value of a key, or None. A damaged file is removed unless it is required."""
        if self.path is None or not self.path.exists():
            return None
        try:
            with _opened(self.path) as connection:
                return _found(connection, _key(about))
        except UserError as error:
            self._warn(error, "it is begun anew")
            self.path.unlink(missing_ok=True)
            return None

    def keep(self, about: str | Mapping[str, Any], value: Any) -> Any:
        """Keep a value unless the key has one; returns the value that stands."""
        if self.path is None:
            return value
        key, text = _key(about), canonical_json(value)
        try:
            with readable_os_errors(self.path.parent):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with _opened(self.path) as connection:
                with connection:
                    connection.execute("INSERT INTO findings VALUES (?, ?) ON CONFLICT DO NOTHING", (key, text))
                return _found(connection, key)
        except UserError as error:
            self._warn(error, "the work goes on without keeping it")
            return value

    def _warn(self, error: UserError, consequence: str) -> None:
        if self._required:
            raise error
        log.warning("%s; %s", error, consequence)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that syncs each transaction; its errors become one line."""
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(TABLE)
            yield connection
    except (sqlite3.Error, ValueError) as error:
        if isinstance(error, ValueError) or getattr(error, "sqlite_errorcode", None) in DAMAGES:
            raise UserError(f"{path}: damaged ({error}); remove it, and what it held is found again") from None
        raise UserError(f"{path}: {error}") from None


def _found(connection: sqlite3.Connection, key: str) -> Any:
    row = connection.execute("SELECT found FROM findings WHERE about = ?", (key,)).fetchone()
    return None if row is None else json.loads(row[0])


def _key(about: str | Mapping[str, Any]) -> str:
    return about if isinstance(about, str) else canonical_json(dict(about))
