"""From a task spec to raw rows: one loader and one light revision text for each kind of source."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.errors import UserError
from distilgrid.fingerprint import file_sha256
from distilgrid.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import pandas as pd

GLUE_REPOSITORY = "nyu-mll/glue"
GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


@dataclass(frozen=True)
class Raw:
    """Rows as a source brings them: one frame per split, and notes that tables must carry."""

    splits: "dict[str, pd.DataFrame]"
    notes: list[str]


def source_revision(spec: TaskSpec, glue_dir: Path | None) -> str:
    """A text that changes whenever the rows behind a spec change. Light: reads no rows.

    Raises:
        UserError: when a file or library is missing.
    """
    if spec.scheme == "docs":
        from distilgrid.tasks import docs_corpus

        return docs_corpus.revision()
    if spec.scheme == "glue" and glue_dir is None:
        return f"hub:{GLUE_REPOSITORY}@{GLUE_REVISION}"
    if spec.scheme == "glue" and glue_dir is not None:  # the names of local files say which splits are subsets
        named = {path.name: path for path in _glue_files(spec, glue_dir).values()}
    else:
        named = _own_files(spec)
    return "files:" + ",".join(f"{name}={file_sha256(path)[:16]}" for name, path in named.items())


def load_raw(spec: TaskSpec, glue_dir: Path | None) -> Raw:
    """The rows of a task, straight from its source.

    Raises:
        UserError: when a file is missing or unreadable.
    """
    if spec.scheme == "docs":
        from distilgrid.tasks import docs_corpus

        return Raw(docs_corpus.build(spec.locator), ["docs corpus: docstrings of installed libraries"])
    if spec.scheme == "glue":
        files = _glue_files(spec, glue_dir) if glue_dir else _glue_download(spec)
        notes = [f"{split}: a subset of the official split" for split, p in files.items() if "_subset" in p.name]
        return Raw({split: _read_parquet(path) for split, path in files.items()}, notes)
    reader = _read_csv if spec.scheme == "csv" else _read_parquet
    frames = {split: reader(path) for split, path in _own_files(spec).items()}
    return Raw(_by_column(frames["train"], spec) if spec.split_column else frames, [])


def _glue_files(spec: TaskSpec, folder: Path) -> dict[str, Path]:
    files = {}
    for split in ["train", *spec.validation]:
        names = [f"{split}.parquet", f"{split}_subset.parquet", f"{split}-00000-of-00001.parquet"]
        found = [folder / spec.locator / name for name in names if (folder / spec.locator / name).is_file()]
        if not found:
            raise UserError(f"{folder / spec.locator}: no {names[0]}; check data.glue_dir / DISTILGRID_GLUE_DIR")
        files[split] = found[0]
    return files


def _glue_download(spec: TaskSpec) -> dict[str, Path]:
    from huggingface_hub import hf_hub_download

    files = {}
    for split in ["train", *spec.validation]:
        name = f"{spec.locator}/{split}-00000-of-00001.parquet"
        try:
            path = hf_hub_download(GLUE_REPOSITORY, name, repo_type="dataset", revision=GLUE_REVISION)
        except Exception as error:  # the hub client raises many types; the user needs one line
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = f"{GLUE_REPOSITORY}/{name}: cannot be fetched ({reason}); offline, set data.glue_dir"
            raise UserError(message) from None
        files[split] = Path(path)
    return files


def _own_files(spec: TaskSpec) -> dict[str, Path]:
    files = {"train": Path(spec.locator).expanduser()}
    if spec.validation_source:
        files[spec.validation[0]] = Path(spec.validation_source.partition(":")[2]).expanduser()
    for path in files.values():
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


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    return _reading(path, lambda: pd.read_parquet(path))


def _reading(path: Path, read: "Callable[[], pd.DataFrame]") -> "pd.DataFrame":
    try:
        return read()
    except Exception as error:  # pandas and pyarrow raise many types; the user needs one line
        raise UserError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from None
