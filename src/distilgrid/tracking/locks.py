"""One writer at a time: a lock file for the processes of a machine, and a database's own lock for all that share it."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.artefacts import readable_os_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection

ADVISORY = int.from_bytes(b"dgtrack")  # the name of the lock in a PostgreSQL database
CONNECT_SECONDS = 10
log = logging.getLogger(__name__)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock file, which is made if need be; the kernel frees it however the process ends.

    Raises:
        UserError: when the file cannot be written.
    """
    with readable_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another process holds %s: waiting for it", path)
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield


@contextlib.contextmanager
def results_lock(results: Path) -> Iterator[bool]:
    """Hold the lock of a results folder, whatever the store; False where nobody may write there, so nothing is held."""
    if not os.access(results, os.W_OK):
        yield False
        return
    with file_lock(results / "mlflow.lock"):
        yield True


@contextlib.contextmanager
def postgresql_lock(uri: str) -> Iterator[None]:
    """Hold a lock of the database itself, which processes on all machines share; the server frees it with the session.

    MLflow's migrations do not lock, and two first uses of an empty database fail.

    Raises:
        SQLAlchemyError: when the database does not answer.
        ImportError: when its driver is not installed.
    """
    import sqlalchemy

    options = {"connect_timeout": CONNECT_SECONDS, "application_name": "distilgrid track"}
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, connect_args=options)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not _asked(connection, "SELECT pg_try_advisory_lock(:name)"):
            log.info("another process writes the database: waiting for it")
            _asked(connection, "SELECT pg_advisory_lock(:name)")
        yield


def _asked(connection: "Connection", question: str) -> bool:
    import sqlalchemy

    return bool(connection.execute(sqlalchemy.text(question), {"name": ADVISORY}).scalar())
