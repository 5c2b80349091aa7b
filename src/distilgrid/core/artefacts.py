"""Writing and trusting artefacts: atomic appearance, one writer at a time, contents verified on use.

A stage writes into a scratch folder within the artefact's; its files then appear by rename, `run.json` last.
`run.json` lists the SHA-256 of every file, so a reader can tell a whole artefact from a damaged one.
"""

import contextlib
import errno
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from distilgrid.core.cost import Meter
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import canonical_json, file_sha256, named_key, recipe_key
from distilgrid.core.machine import describe_machine, package_versions

if TYPE_CHECKING:
    import pandas as pd

RUN = "run.json"
RANK = "DISTILGRID_RANK"  # set in the processes that help a data-parallel job
LOCK = ".lock"  # held by the job that makes the artefact. It holds the recipe, so that its inputs can be told
MODEL_STAGES = ("finetune", "distill")
STATE = ".state"  # of unfinished training, next to the artefact's files
TIMED = ("metrics.json", "supernet.json")
"""Files that hold durations, which differ each time an artefact is made."""
OWN, EDITED = "fingerprint", "content differs from its own fingerprint (edited?)"
"""The field of `run.json` with the fingerprint of the others, and what is said where it is that of other ones."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OS_PROBLEMS = {
    FULL[:2]: "no space left on the disk; free some and run again, nothing finished is lost",
    FULL[2:]: "a file would exceed the limit on its size (`ulimit -f`); raise it, nothing finished is lost",
    (errno.ENAMETOOLONG,): "the path is too long; take shorter names or another folder",
    (errno.EIO,): "the disk reports an error; check it, nothing finished is lost",
    (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS): "this file system has no locks; take a folder elsewhere "
    "(NFS needs its lock service)",
    (errno.ELOOP,): "a link leads in a circle; remove it or take another folder",
    (errno.ESTALE, errno.ENOTCONN): "the file system does not answer; mount it again",
    (errno.EISDIR,): "a folder is where a file is wanted; name a file in it",
    (errno.EEXIST, errno.ENOTDIR): "a file is where a folder is wanted; move it or choose another folder",
}
log = logging.getLogger(__name__)
_contents: dict[str, str] = {}  # by key, of the artefacts that this process verified, to make the next one from
_read: set[Path] = set()  # folders of these artefacts


@contextlib.contextmanager
def writing(out: Path | str, *, recipe: Mapping[str, Any], labels: Mapping[str, Any]) -> Iterator[Path]:
    """Make an artefact: yield a scratch folder to write into, then move its files to `out`, `run.json` last.

    One process at a time makes an artefact; others wait. Nothing appears in `out` when the body fails.

    Raises UserError when `out` carries the key of another recipe, holds something else, cannot be written, or the disk
    is full.
    """
    folder = Path(out)
    _check_key(folder, recipe)
    _check_own(folder, recipe)
    if RANK in os.environ:
        with tempfile.TemporaryDirectory(prefix="distilgrid-") as nowhere:
            yield Path(nowhere)  # the first process of the job writes the artefact
        return
    with readable_os_errors(folder), _cell_lock(folder):
        meter = Meter()
        scratch = folder / f".scratch-{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        with contextlib.suppress(OSError):
            (folder / LOCK).write_text(canonical_json(recipe), encoding="utf-8")
        try:
            yield scratch
            _write_run(scratch, recipe, labels, meter)
            _publish(scratch, folder)
            not_in_the_future(path for read in _read for path in read.glob("*"))
            shutil.rmtree(folder / STATE, ignore_errors=True)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def not_in_the_future(paths: Iterable[Path]) -> None:
    """Set time stamps that lie in the future to now.

    After the clock was set back, inputs have later time stamps than new outputs, and Snakemake removes such outputs:
    hours of training. Time stamps decide nothing else, because a path holds its recipe.
    """
    for path in paths:
        with contextlib.suppress(OSError):  # absent, or another user's
            if path.lstat().st_mtime > time.time():
                os.utime(path, follow_symlinks=False)


def json_text(value: Any) -> str:
    """Indented JSON with a final newline. Not-a-number is refused because it is not JSON."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a file of indented JSON."""
    path.write_text(json_text(value), encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Write a file that a user asked for, and the folders above it. Raises UserError when that is impossible."""
    with readable_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def check_writable(path: Path, *, option: str) -> None:
    """Refuse a file that cannot be written, before the work that it is for. Raises UserError."""
    if path.is_dir():
        raise UserError(f"{option}: {path} is a folder; name a file in it")
    with readable_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        path.open("a", encoding="utf-8").close()
        if new:
            path.unlink()


def write_changed(path: Path, content: bytes) -> None:
    """Write a file that appears whole, unless it holds that content already."""
    if path.is_file() and path.read_bytes() == content:
        return
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read_json(path: Path | str) -> Any:
    """A JSON file. Raises UserError when it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path or make it first") from None
    except ValueError:
        raise UserError(f"{path}: damaged JSON; remove {Path(path).parent} and run the stage again") from None


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """A parquet file, or some columns of it, as a frame. Raises UserError when it is missing or damaged."""
    import pandas as pd

    try:
        return pd.read_parquet(path, columns=columns if columns is None else list(columns))
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); remove {path.parent} and run its stage again") from None


def read_run(folder: Path) -> dict[str, Any]:
    """The `run.json` of an artefact, whose files are not read. Raises UserError when it is missing or damaged."""
    run: Any = read_json(folder / RUN)
    whole = isinstance(run, dict) and {"stage", "key", "labels", "recipe", "files"} <= set(run)
    if not whole or not all(isinstance(run[name], dict) for name in ("labels", "recipe", "files")):
        raise UserError(f"{folder / RUN}: damaged; remove {folder} and run its stage again")
    if any(Path(name).name != name for name in run["files"]):  # a copy must not leave its folder
        raise UserError(f"{folder / RUN}: lists files of other folders; remove {folder} and run its stage again")
    return run


def verified(folder: Path | str, *, stage: str | None = None, only: Collection[str] | None = None) -> dict[str, Any]:
    """The `run.json` of an artefact that `stage` has made and whose files, or `only` some of them, match it.

    Raises UserError when the folder holds no artefact, an artefact of another stage, or a damaged file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; make this artefact first")
    run = read_run(folder)
    if stage is not None and run["stage"] != stage:
        raise UserError(f"{folder}: holds the output of '{run['stage']}', but '{stage}' is wanted here")
    named, own = named_key(folder.name), recipe_key(run["recipe"])
    if named and named != run["key"]:
        raise UserError(f"{folder}: named after recipe {named}, but holds {run['key']}; move it back to its own name")
    if own != run["key"]:
        said = f"the recipe was changed: its key is {own}, recorded is {run['key']}"
        raise UserError(f"{folder / RUN}: {said}; remove {folder} and run its stage again")
    if is_edited(run):
        raise UserError(f"{folder / RUN}: {EDITED}; remove {folder} and run its stage again")
    for name in run["files"] if only is None else only:
        check_file(folder / name, run["files"].get(name))
    _contents[run["key"]] = content_digest(run["files"])
    _read.add(folder)
    return run


def is_edited(run: Mapping[str, Any]) -> bool:
    """Whether a `run.json` differs from what was written: its times, costs or labels. Older ones cannot tell."""
    return run.get(OWN) not in (None, own_fingerprint(run))


def own_fingerprint(run: Mapping[str, Any]) -> str:
    """The fingerprint of a `run.json`, of everything but the fingerprint itself."""
    return recipe_key({name: value for name, value in run.items() if name != OWN})


def check_file(path: Path, digest: str | None) -> None:
    """Refuse a file of an artefact that is missing, or whose SHA-256 is another one. Raises UserError."""
    with readable_os_errors(path):
        said = "" if path.is_file() else "missing"
        if not said and file_sha256(path) != digest:
            said = f"content differs from what {RUN} recorded (damaged?)" if digest else f"{RUN} does not list it"
    if said:
        raise UserError(f"{path}: {said}; remove {path.parent} and run its stage again")


def content_digest(files: Mapping[str, str]) -> str:
    """One fingerprint of the names and SHA-256 of an artefact's files, without those that hold durations."""
    return recipe_key({name: digest for name, digest in files.items() if name not in TIMED})


def is_complete(folder: Path | str) -> bool:
    """Whether an artefact's `run.json` and all files that it lists exist. Contents are verified on use, not here.

    Raises UserError without the permission to look: an artefact that exists must not pass for absent.
    """
    path = Path(folder) / RUN
    with readable_os_errors(path):
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))["files"]
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, KeyError, TypeError):
            return False
        return all((path.parent / name).is_file() for name in listed)


@contextlib.contextmanager
def readable_os_errors(place: Path) -> Iterator[None]:
    """Turn a full disk, missing permissions, a path too long or a file in the way into a UserError of one line.

    All other exceptions pass unchanged.
    """
    try:
        yield
    except Exception as error:
        line = _os_problem(error, place)
        if line is None:
            raise
        raise UserError(line) from None


def _os_problem(error: Exception, place: Path) -> str | None:
    code, name = (error.errno, error.filename) if isinstance(error, OSError) else (None, None)
    if code is None and (said := re.search(r"\(os error (\d+)\)", str(error))):  # safetensors and tokenizers say it so
        code = int(said[1])
    if code in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{name or place}: {os.strerror(code)}; check its permissions and whose it is, or take another folder"
    if code == errno.ENOENT and name and _above(Path(os.fsdecode(name)), place):
        return f"{name}: nothing can be made there; take another folder"
    for codes, advice in OS_PROBLEMS.items():
        if code in codes:
            return f"{place if code in FULL else name or place}: {advice}"
    return None


def _above(path: Path, place: Path) -> bool:
    """Whether a path that does not exist is where something is made: the place, above it, or a folder on the way."""
    return place.is_relative_to(path) or (path.name.startswith(".scratch-") and place.is_relative_to(path.parent))


def _check_key(folder: Path, recipe: Mapping[str, Any]) -> None:
    named = named_key(folder.name)
    if named and named != recipe_key(recipe):
        raise UserError(
            f"{folder}: the folder is named after recipe {named}, but these settings and inputs make "
            f"{recipe_key(recipe)}; take the path that `distilgrid plan --commands` shows, or a folder without a key"
        )


def _check_own(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Refuse a folder without a key that holds files of somebody, a trained model, or what another stage made.

    A stage may replace what it made from other settings, unless that was training.
    """
    if named_key(folder.name) or not folder.is_dir():
        return
    with readable_os_errors(folder):
        found = {path.name for path in folder.iterdir()}
    if RUN in found:
        key, stage = _made_there(folder)
        if key != recipe_key(recipe) and (stage != recipe["stage"] or stage in MODEL_STAGES):
            raise UserError(f"{folder}: holds the output of '{stage}' of key {key}; move it or take another folder")
    elif found and LOCK not in found:
        raise UserError(f"{folder}: holds files of something else, such as {min(found)}; take another folder")
    elif STATE in found and (folder / LOCK).read_text(encoding="utf-8") not in ("", canonical_json(recipe)):
        raise UserError(f"{folder}: holds unfinished work of other settings or inputs; move it or take another folder")


def _made_there(folder: Path) -> tuple[str, str]:
    """The key and the stage of an artefact, which may be damaged."""
    try:
        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return str(run["key"]), str(run["stage"])
    except (OSError, ValueError, LookupError, TypeError):
        return "that cannot be read", "a stage"


@contextlib.contextmanager
def _cell_lock(folder: Path) -> Iterator[None]:
    """Hold the artefact's lock, so that an orphaned job and a new one never write the same cell together."""
    new = not folder.exists() or bool(named_key(folder.name))  # Snakemake makes the folder before the job starts
    lock = FileLock(folder / LOCK, fallback_to_soft=False)
    with _acquired(lock, folder):
        for leftover in folder.glob(".scratch-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            yield
        finally:
            if new and {path.name for path in folder.glob("*")} == {LOCK}:  # a refused job leaves nothing
                shutil.rmtree(folder, ignore_errors=True)


def _acquired(lock: FileLock, folder: Path) -> contextlib.AbstractContextManager[object]:
    """Take the lock, in a folder that its last holder may remove."""
    waiting = False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire(blocking=waiting)
        except Timeout:
            log.warning("another process is making %s: waiting for it", folder)
            waiting = True
        except FileNotFoundError:
            continue


def _write_run(scratch: Path, recipe: Mapping[str, Any], labels: Mapping[str, Any], meter: Meter) -> None:
    files = {path.name: file_sha256(path) for path in sorted(scratch.iterdir())}
    named = canonical_json(recipe)
    run = {
        "stage": recipe["stage"],
        "key": recipe_key(recipe),
        "labels": dict(labels),
        "recipe": json.loads(named),
        "inputs": {key: content for key, content in _contents.items() if f'"{key}"' in named},
        "files": files,
        **meter.read(),
        "versions": package_versions(),
        "machine": describe_machine(),
    }
    read = json.loads(json_text(run))  # as a reader sees it
    write_json(scratch / RUN, {**read, OWN: own_fingerprint(read)})
    _contents.pop(run["key"], None)  # what was verified before was another making of it


def _publish(scratch: Path, folder: Path) -> None:
    (folder / RUN).unlink(missing_ok=True)  # a half-replaced artefact must not look whole
    names = sorted(path.name for path in scratch.iterdir() if path.name != RUN)
    for name in [*names, RUN]:
        with open(scratch / name, "rb") as stream:
            os.fsync(stream.fileno())
        (scratch / name).replace(folder / name)
