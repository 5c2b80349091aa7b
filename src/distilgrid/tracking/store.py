"""Opening an MLflow store: quietly, without telemetry, in seconds where it does not answer, one writer at a time."""

import contextlib
import logging
import os
import re
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distilgrid.core.errors import UserError
from distilgrid.tracking.locks import CONNECT_SECONDS, file_lock, postgresql_lock, results_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = dict.fromkeys(("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"), "true")
# MLflow's own values try for minutes. An absent server is to be reported in seconds, one that hangs in a minute.
PATIENCE = {"MAX_RETRIES": "2", "BACKOFF_FACTOR": "1", "TIMEOUT": "20"}
EXTRAS = {"psycopg2": "mlflow-postgresql"}
DOWN = re.compile(
    r"API request to .* failed with (exception|timeout)|failed with error code 5\d\d|could not translate host name"
    r"|could not connect|[Cc]onnection .*(refused|closed|reset|failed)|timeout expired|server closed"
    r"|(starting up|shutting down|in recovery mode|too many (clients|connections)|due to administrator command)"
)
NOT_DOWN = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba.conf entry|Invalid URL|No scheme"
)


class StoreDownError(UserError):
    """The store does not answer now; nothing is lost, as the next call brings everything."""


@dataclass(frozen=True)
class Store:
    """An open MLflow store.

    Attributes:
        client: MLflow's.
        artefacts: where MLflow may keep files of its own; None leaves that to the server.
        writer: who writes: processes of one name do so one at a time, so that what another of the name left unfinished
            was cut short.
    """

    client: "MlflowClient"
    artefacts: Path | None
    writer: str


@contextlib.contextmanager
def open_store(uri: str, *, results: Path) -> Iterator[Store]:
    """A store to write; a sqlite file or the tables of a database are made if need be, and other writers wait.

    Args:
        uri: an MLflow tracking URI.
        results: whose lock is held, so that all jobs of a grid take turns whatever the store is.

    Raises:
        StoreDownError: when a server or database does not answer.
        UserError: when MLflow is not installed, or cannot use the store.
    """
    _check_scheme(uri)
    client_class = _import_client()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with contextlib.ExitStack() as locks:
            held = locks.enter_context(results_lock(results))
            artefacts, writer = _lock_store(uri, results, client_class, locks)
            host = f"{socket.gethostname()}:{results.resolve() if held else uuid.uuid4().hex}"
            yield Store(client_class(tracking_uri=uri), artefacts, writer or host)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(str(error.name), "mlflow")
        raise UserError(f"{shown(uri)}: needs {error.name}; run: pip install 'distilgrid[{extra}]'") from None
    except (MlflowException, SQLAlchemyError) as error:
        raise _explained(error, uri) from None


def _lock_store(
    uri: str, results: Path, client_class: type["MlflowClient"], locks: contextlib.ExitStack
) -> tuple[Path | None, str]:
    """Lock a database that this process opens itself; where files go, and a name that all its writers share."""
    database = sqlite_file(uri)
    if database:
        locks.enter_context(file_lock(database.with_name(f"{database.name}.lock")))
        _initialise(database, client_class)
        return database.parent / "mlflow-artifacts", "database"
    if urlsplit(uri).scheme.startswith("postgresql"):
        locks.enter_context(postgresql_lock(uri))
        return results.resolve() / "mlflow-artifacts", "database"
    return None if urlsplit(uri).scheme.startswith("http") else results.resolve() / "mlflow-artifacts", ""


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


def shown(uri: str) -> str:
    """A URI as messages show it: without the password."""
    return re.sub(r"(://[^/@:]*):[^@/]*@", r"\1:***@", uri)


def _check_scheme(uri: str) -> None:
    if urlsplit(uri).scheme in ("", "file"):
        raise UserError(
            f"{shown(uri)}: MLflow 3 no longer writes folder stores; use sqlite:///<file>, a server's http address, "
            "or postgresql://..."
        )


def _import_client() -> type["MlflowClient"]:
    """MLflow's client class, imported without telemetry, logs, or a line on stdout for every run.

    Raises:
        UserError: when MLflow cannot be imported.
    """
    os.environ |= QUIET
    for name, value in PATIENCE.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_SECONDS))
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UserError(f"tracking needs MLflow ({error}); run: pip install 'distilgrid[mlflow]'") from None
    for name, level in (("alembic", logging.ERROR), ("mlflow", logging.CRITICAL), ("urllib3", logging.ERROR)):
        logging.getLogger(name).setLevel(level)
    return MlflowClient


def _explained(error: Exception, uri: str) -> UserError:
    """What went wrong, in one line."""
    said = str(error).strip()
    reason = shown(said.splitlines()[0] if said else type(error).__name__)
    database = sqlite_file(uri)
    if not database and DOWN.search(said) and not NOT_DOWN.search(said):
        hint = "nothing is lost: start it and track again"
        return StoreDownError(f"{shown(uri)}: the store does not answer ({reason:.200}); {hint}")
    hint = _advice(reason, database) if database else "check the server and the URI"
    return UserError(f"{shown(uri)}: MLflow cannot use this store ({reason:.200}); {hint}")


def _initialise(database: Path, client_class: type["MlflowClient"]) -> None:
    """Make the tables in a file that appears whole: a kill half-way leaves no broken store behind."""
    if database.exists():
        return
    unfinished = database.with_name(f".{database.name}.new")
    unfinished.unlink(missing_ok=True)
    client_class(tracking_uri=f"sqlite:///{unfinished}").search_experiments(max_results=1)
    unfinished.replace(database)
