"""Opening an MLflow store: quietly, without telemetry, and one process at a time where it is a sqlite file."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distilgrid.artefacts import readable_os_errors
from distilgrid.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = dict.fromkeys(("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"), "true")
log = logging.getLogger(__name__)


@contextlib.contextmanager
def open_store(uri: str) -> Iterator["MlflowClient"]:
    """A client of the store; a sqlite store is created if need be, and other processes wait until the block ends.

    Raises:
        UserError: when MLflow is not installed, or cannot use the store.
    """
    _check_scheme(uri)
    client_class = _import_client()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    database = sqlite_file(uri)
    try:
        with _only_one(database) if database else contextlib.nullcontext():
            if database:
                _initialise(database, client_class)
            yield client_class(tracking_uri=uri)
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(error).strip().splitlines()[0]
        hint = _advice(reason, database) if database else "check the server"
        raise UserError(f"{uri}: MLflow cannot use this store ({reason:.200}); {hint}") from None


def _advice(reason: str, database: Path) -> str:
    """What to do about a database; one that is whole is never to be removed."""
    advice = {
        "disk is full": "free some space and track again, nothing is lost",
        "readonly": f"check the permissions of {database} and its folder, or give another store (--uri)",
        "unable to open": f"check the permissions of {database} and its folder, or give another store (--uri)",
        "locked": "another program writes to it: close that and track again",
        "disk I/O": "check the disk and track again",
    }
    other = f"correct the URI, or remove {database} and track again"
    return next((said for sign, said in advice.items() if sign in reason), other)


def sqlite_file(uri: str) -> Path | None:
    """The file behind a sqlite URI; None for every other store."""
    if not uri.startswith("sqlite:"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    return Path(database).resolve() if database else None


def _check_scheme(uri: str) -> None:
    if urlsplit(uri).scheme in ("", "file"):
        raise UserError(
            f"{uri}: MLflow 3 no longer writes folder stores; use sqlite:///<file>, or a server's http address"
        )


def _import_client() -> type["MlflowClient"]:
    """MLflow's client class, imported without telemetry, logs, or a line on stdout for every run.

    Raises:
        UserError: when MLflow cannot be imported.
    """
    os.environ |= QUIET
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # report an absent server in seconds, not minutes
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UserError(f"tracking needs MLflow ({error}); run: pip install 'distilgrid[mlflow]'") from None
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient


@contextlib.contextmanager
def _only_one(database: Path) -> Iterator[None]:
    """Hold the lock beside the database: MLflow's migrations do not lock, and two first uses corrupt the file."""
    with readable_os_errors(database):
        database.parent.mkdir(parents=True, exist_ok=True)
        with open(database.with_name(f"{database.name}.lock"), "w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another process is writing %s: waiting for it", database)
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _initialise(database: Path, client_class: type["MlflowClient"]) -> None:
    """Make the tables in a file that appears whole: a kill half-way leaves no broken store behind."""
    if database.exists():
        return
    unfinished = database.with_name(f".{database.name}.new")
    unfinished.unlink(missing_ok=True)
    client_class(tracking_uri=f"sqlite:///{unfinished}").search_experiments(max_results=1)
    unfinished.replace(database)
