"""From a task spec to raw rows: one loader and one light revision text for each kind of source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd

GLUE_REPOSITORY = "nyu-mll/glue"
GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


@dataclass(frozen=True)
class Folders:
    """Local folders of published data sets; None stands for the hub."""

    glue: Path | None = None
    cifar: Path | None = None


HUB = Folders()


@dataclass(frozen=True)
class Raw:
    """Rows as a source brings them: one frame per split, notes that tables must carry, and files to name in messages.

    Images are in the spec's image column: encoded bytes, a struct with the field `bytes`, or uint8 arrays (H, W, C).
    """

    splits: "dict[str, pd.DataFrame]"
    notes: list[str]
    files: dict[str, str] = field(default_factory=dict)


def source_revision(spec: TaskSpec, folders: Folders) -> str:
    """A text that changes whenever the rows behind a spec change. Light: reads no rows.

    Raises:
        UserError: when a file or library is missing.
    """
    if spec.scheme == "docs":
        from distilgrid.tasks import docs_corpus

        return docs_corpus.revision()
    if spec.scheme in ("digits", "cifar"):
        from distilgrid.tasks.kinds.image import sources as images_sources

        return images_sources.revision(spec, folders)
    if spec.scheme == "glue" and folders.glue is None:
        return f"hub:{GLUE_REPOSITORY}@{GLUE_REVISION}"
    if spec.scheme == "glue" and folders.glue is not None:  # the names of local files say which splits are subsets
        return files_revision({path.name: path for path in _glue_files(spec, folders.glue).values()})
    return files_revision(_own_files(spec))


def files_revision(named: Mapping[str, Path]) -> str:
    """A text that changes with the content of files, each under a name that holds on every machine.

    Raises:
        UserError: when one may not be read.
    """
    digests = []
    for name, path in named.items():
        with readable_os_errors(path):
            digests.append(f"{name}={file_sha256(path)[:16]}")
    return "files:" + ",".join(digests)


def load_raw(spec: TaskSpec, folders: Folders) -> Raw:
    """The rows of a task, straight from its source.

    Raises:
        UserError: when a file is missing or unreadable.
    """
    if spec.scheme == "docs":
        from distilgrid.tasks import docs_corpus

        return Raw(docs_corpus.build(spec.locator), ["docs corpus: docstrings of installed libraries"])
    if spec.scheme in ("digits", "cifar"):
        from distilgrid.tasks.kinds.image import sources as images_sources

        return images_sources.load(spec, folders)
    if spec.scheme == "glue":
        files = _glue_files(spec, folders.glue) if folders.glue else _glue_download(spec)
        notes = [f"{split}: a subset of the official split" for split, p in files.items() if "_subset" in p.name]
        return Raw({split: read_parquet(path) for split, path in files.items()}, notes)
    reader = _read_csv if spec.scheme == "csv" else read_parquet
    frames = {split: reader(path) for split, path in _own_files(spec).items()}
    return Raw(_by_column(frames["train"], spec) if spec.split_column else frames, [])


def _glue_files(spec: TaskSpec, folder: Path) -> dict[str, Path]:
    files = {}
    for split in ["train", *spec.validation]:
        names = parquet_names(split)
        found = [folder / spec.locator / name for name in names if (folder / spec.locator / name).is_file()]
        if not found:
            raise UserError(f"{folder / spec.locator}: no {names[0]}; check data.glue_dir / DISTILGRID_GLUE_DIR")
        files[split] = found[0]
    return files


def parquet_names(split: str) -> list[str]:
    """What the file of a published split may be called, in a folder of its data set."""
    return [f"{split}.parquet", f"{split}_subset.parquet", f"{split}-00000-of-00001.parquet"]


def _glue_download(spec: TaskSpec) -> dict[str, Path]:
    names = {split: f"{spec.locator}/{split}-00000-of-00001.parquet" for split in ["train", *spec.validation]}
    return {split: hub_file(GLUE_REPOSITORY, name, GLUE_REVISION, key="glue_dir") for split, name in names.items()}


def hub_file(repository: str, name: str, revision: str, *, key: str) -> Path:
    """A file of a data set on the hub, fetched unless it is in the local cache.

    Args:
        repository: of the data set.
        name: the file's path in it.
        revision: a commit.
        key: the setting of `data` that serves without a network, for messages.

    Raises:
        UserError: when it cannot be fetched.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name, repo_type="dataset", revision=revision))
    except Exception as error:  # the hub client raises many types; the user needs one line
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"{repository}/{name}: cannot be fetched ({reason}); offline, set data.{key}"
        raise UserError(message) from None


def _own_files(spec: TaskSpec) -> dict[str, Path]:
    files = {"train": Path(spec.locator).expanduser()}
    if spec.validation_source:
        files[spec.validation[0]] = Path(spec.validation_source.partition(":")[2]).expanduser()
    for path in files.values():
        with readable_os_errors(path):
            if not path.is_file():
                raise UserError(f"{path}: no such file; check the task's source")
    return files


def _by_column(frame: "pd.DataFrame", spec: TaskSpec) -> "dict[str, pd.DataFrame]":
    if spec.split_column not in frame.columns:
        raise UserError(f"{spec.locator}: no column '{spec.split_column}' (split_column); found {list(frame.columns)}")
    values = sorted(str(value) for value in frame[spec.split_column].unique())
    allowed = {"train", "dev", *spec.validation}
    if not set(values) <= allowed:
        raise UserError(f"{spec.locator}: column '{spec.split_column}' holds {values}; allowed are {sorted(allowed)}")
    if "train" not in values:
        raise UserError(f"{spec.locator}: column '{spec.split_column}' marks no row as train; it holds {values}")
    return {value: frame[frame[spec.split_column] == value].reset_index(drop=True) for value in values}


def _read_csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    # Only an empty field is missing: texts such as "NA" or "null" are texts.
    frame = _reading(path, lambda: pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=str))
    if not isinstance(frame.index, pd.RangeIndex):  # pandas took the first column for row names
        raise UserError(f"{path}: rows have more fields than the header; quote texts that hold commas")
    return frame


def read_parquet(path: Path) -> "pd.DataFrame":
    """All rows of a parquet file.

    Raises:
        UserError: when it cannot be read.
    """
    import pandas as pd

    return _reading(path, lambda: pd.read_parquet(path))


def _reading(path: Path, read: "Callable[[], pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    try:
        frame = read()
        for name in frame.columns:
            if isinstance(frame[name].dtype, pd.StringDtype):
                frame[name].tolist()  # what is no UTF-8 fails here, not wherever it is first looked at
        return frame
    except UnicodeDecodeError:
        raise UserError(f"{path}: {_not_utf8(path)}; save it as UTF-8") from None
    except Exception as error:  # pandas and pyarrow raise many types; the user needs one line
        raise UserError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from None


def _not_utf8(path: Path) -> str:
    """What of a file is no UTF-8; of a CSV file, where."""
    if path.suffix == ".parquet":
        return "a text is no UTF-8"
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"line {number}: the byte 0x{line[error.start]:02x} is no UTF-8"
    return "holds bytes that are no UTF-8"
