"""Opening of MLflow stores without telemetry or logs, with short timeouts, for one writer at a time."""

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = dict.fromkeys(("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"), "true")
QUIET["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
CONNECT_SECONDS = 10
# MLflow's defaults try for minutes. These report an absent server in seconds, and one that hangs in a minute.
HTTP = {f"MLFLOW_HTTP_REQUEST_{k}": v for k, v in {"MAX_RETRIES": "2", "BACKOFF_FACTOR": "1", "TIMEOUT": "20"}.items()}
PATIENCE = HTTP | {"PGCONNECT_TIMEOUT": str(CONNECT_SECONDS)}


class StoreDownError(UserError):
    """The store does not answer. Nothing is lost, because the next call brings everything."""


@dataclass(frozen=True)
class Store:
    """An open store: MLflow's client, and the folder of its files. None leaves files to the server."""

    client: "MlflowClient"
    artefacts: Path | None


@contextlib.contextmanager
def open_store(uri: str, *, results: Path) -> Iterator[Store]:
    """Open a store for writing. A missing sqlite file or table is made, and other writers wait.

    The results folder holds the lock of a server or database, and the files of a database's models.

    Raises StoreDownError when a server or database does not answer, and UserError when MLflow is not installed or
    cannot use the store.
    """
    scheme, address = urlsplit(uri).scheme, shown(uri)
    if scheme in ("", "file"):
        other = "use sqlite:///<file>, a server's http address, or postgresql://..."
        raise UserError(f"{address}: MLflow 3 no longer writes folder stores; {other}")
    client_class = _import_client()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        database = sqlite_file(uri)
        with _one_writer(database, results):
            if database:
                _initialise(database, client_class)
            elif scheme.startswith("postgresql"):
                _connect(uri)
            folder = (database.parent if database else results).resolve() / "mlflow-artifacts"
            yield Store(client_class(tracking_uri=uri), None if scheme.startswith("http") else folder)
    except ModuleNotFoundError as error:
        extra = "mlflow-postgresql" if error.name == "psycopg2" else "mlflow"
        raise UserError(f"{address}: needs {error.name}; run: pip install 'distilgrid[{extra}]'") from None
    except (MlflowException, SQLAlchemyError) as error:
        raise _explained(error, uri) from None


@contextlib.contextmanager
def _one_writer(database: Path | None, results: Path) -> Iterator[None]:
    """Hold the lock next to a sqlite file, or in the results folder. The kernel frees it when the process ends."""
    from filelock import FileLock

    if not database and not os.access(results, os.W_OK):
        yield  # a user who can only read the results cannot lock
        return
    path = database.with_name(f"{database.name}.lock") if database else results / "mlflow.lock"
    with readable_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()  # where no file can be made, a lock would be waited for without an end
        held = FileLock(path).acquire()
    with held:
        yield


def _initialise(database: Path, client_class: type["MlflowClient"]) -> None:
    """Make a sqlite file with tables. It appears whole, so that a kill leaves no broken store."""
    if not database.exists():
        unfinished = database.with_name(f".{database.name}.new")
        unfinished.unlink(missing_ok=True)
        client_class(tracking_uri=f"sqlite:///{unfinished}").search_experiments(max_results=1)
        unfinished.replace(database)


def _connect(uri: str) -> None:
    """Connect to a database once, because MLflow tries an absent one for minutes."""
    import sqlalchemy

    sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool).connect().close()


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite URI, or None."""
    if not uri.startswith("sqlite:"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    return Path(database).resolve() if database else None


def shown(uri: str) -> str:
    """A URI without its password, for messages."""
    return re.sub(r"(://[^/@:]*):[^@/]*@", r"\1:***@", uri)


def _import_client() -> type["MlflowClient"]:
    """MLflow's client class, without telemetry, logs, and lines on stdout."""
    os.environ |= PATIENCE | os.environ | QUIET
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UserError(f"tracking needs MLflow ({error}); run: pip install 'distilgrid[mlflow]'") from None
    for name, level in (("alembic", logging.ERROR), ("mlflow", logging.CRITICAL), ("urllib3", logging.ERROR)):
        logging.getLogger(name).setLevel(level)
    return MlflowClient


def _explained(error: Exception, uri: str) -> UserError:
    """The error in one line. It never advises to remove a store, which may be whole."""
    said = str(error).strip()
    reason, database = shown(said.splitlines()[0] if said else type(error).__name__), sqlite_file(uri)
    if not database and not _answers(uri, error):
        hint = "nothing is lost: start it and track again"
        return StoreDownError(f"{shown(uri)}: the store does not answer ({reason:.200}); {hint}")
    hint = "check the server and the URI"
    if database:
        hint = f"check free space, the permissions of {database.parent}, and whether another program writes to the file"
    return UserError(f"{shown(uri)}: MLflow cannot use this store ({reason:.200}); {hint}, then track again")


def _answers(uri: str, error: BaseException | None) -> bool:
    """Whether the server is up and refused the request."""
    place = urlsplit(uri)
    if place.scheme.startswith("postgresql"):
        try:
            socket.create_connection((place.hostname or "localhost", place.port or 5432), CONNECT_SECONDS).close()
        except OSError:
            return False
    while error is not None:
        # All errors of requests are OSErrors. Those about a bad address are also ValueErrors.
        if isinstance(error, OSError) and not isinstance(error, ValueError):
            return False
        error = error.__cause__ or error.__context__
    return True
