"""Published images: scikit-learn's digits, and CIFAR from local files or the hub. Light: imports numpy on use."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.tasks.sources import Folders, Raw, files_revision, hub_file, split_file, subset_notes
from distilgrid.tasks.spec import TaskSpec
from distilgrid.tasks.tables import read_parquet

if TYPE_CHECKING:
    import pandas as pd

DIGITS = "datasets/data/digits.csv.gz"  # within scikit-learn
SIDE, CHANNELS = 32, 3  # of CIFAR's images
OWNER = "uoft-cs"  # of the repositories on the hub
JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Cifar:
    """Publications of CIFAR-10 or CIFAR-100, and the names of their files."""

    revision: str  # revision on the hub, where `folder` holds parquet files
    folder: str
    batches: str  # folder inside the official archive of binary files
    pickled: tuple[str, str]  # folder and one file of the Python archive, which holds pickles
    binary: dict[str, tuple[str, ...]]  # names of the binary files of each split
    labels: tuple[str, ...]  # meaning of the bytes before the pixels of a binary record


CIFAR = {
    "cifar10": Cifar(
        revision="0b2714987fa478483af9968de7c934580d0bb9a2",
        folder="plain_text",
        batches="cifar-10-batches-bin",
        pickled=("cifar-10-batches-py", "data_batch_1"),
        binary={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
        labels=("label",),
    ),
    "cifar100": Cifar(
        revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
        folder="cifar100",
        batches="cifar-100-binary",
        pickled=("cifar-100-python", "train"),
        binary={"train": ("train.bin",), "test": ("test.bin",)},
        labels=("coarse_label", "fine_label"),
    ),
}


def revision(spec: TaskSpec, folders: Folders) -> str:
    """Fingerprint of the images behind a spec. Raises UserError when a file or library is missing."""
    if spec.scheme == "digits":
        path = _digits_file()
        return files_revision({path.name: path})
    if folders.cifar is None:
        return f"hub:{OWNER}/{spec.locator}@{CIFAR[spec.locator].revision}"
    files = _local_files(spec, folders.cifar)
    return files_revision({path.name: path for paths in files.values() for path in paths})


def load(spec: TaskSpec, folders: Folders) -> Raw:
    """Read images and labels into the spec's columns. Raises UserError for a missing or unreadable file."""
    if spec.scheme == "digits":
        return Raw({"train": _digits(spec)}, ["digits: 1,797 images of scikit-learn; they have no official test split"])
    files = _local_files(spec, folders.cifar) if folders.cifar else _download(spec)
    notes, splits = subset_notes({split: paths[0] for split, paths in files.items()}), {}
    for split, paths in files.items():
        binary = paths[0].suffix == ".bin"
        rows = _read_binary(paths, CIFAR[spec.locator]) if binary else read_parquet(paths[0])
        splits[split] = _named(rows, spec)
        if spec.image in splits[split].columns and any(map(_is_jpeg, splits[split][spec.image])):
            notes.append(f"{split}: JPEG copies, pixels are close to the official ones, not equal")
    return Raw(splits, notes, {split: _named_files(paths) for split, paths in files.items()})


def _digits_file() -> Path:
    found = importlib.util.find_spec("sklearn")
    path = Path((found.origin if found else None) or "").parent / DIGITS
    if not path.is_file():
        raise UserError("digits:sklearn: scikit-learn and its data sets are missing; run `pip install scikit-learn`")
    return path


def _digits(spec: TaskSpec) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]  # (1797, 8, 8, 1), from 0..16
    return pd.DataFrame({spec.image: pd.Series(list(pixels), dtype=object), spec.label: digits.target})


def _splits(spec: TaskSpec) -> list[str]:
    """The official splits that a task uses; other ones are held out of train."""
    return ["train", *(name for name in spec.validation if name == "test")]


def _local_files(spec: TaskSpec, folder: Path) -> dict[str, list[Path]]:
    published = CIFAR[spec.locator]
    places = [
        base / part for base in (folder / spec.locator, folder) for part in ("", published.folder, published.batches)
    ]
    place = next((place for place in places if any(_files(place, split, published) for split in _splits(spec))), folder)
    files = {split: _files(place, split, published) for split in _splits(spec)}
    for split, found in files.items():
        if not found:
            wanted = f"{split}.parquet or {_named_files(published.binary[split])}"
            message = f"{place}: no {wanted} of {spec.locator}; check data.cifar_dir / DISTILGRID_CIFAR_DIR"
            raise UserError(_pickles(folder, spec.locator, published) or message)
    return files


def _pickles(folder: Path, name: str, published: Cifar) -> str | None:
    """Message for a folder that holds only the Python archive."""
    inner, file = published.pickled
    found = next((place for place in (folder / inner, folder, folder / name) if (place / file).is_file()), None)
    if found is None:
        return None
    archive, first = f"{name.replace('cifar', 'cifar-')}-binary.tar.gz", published.binary["train"][0]
    return f"{found}: pickled batches are not read; take {archive}, which holds {first}, or parquet files"


def _named_files(names: Sequence[str | Path]) -> str:
    """The name of one file, or the first and last of several."""
    return str(names[0]) if len(names) == 1 else f"{names[0]} to {Path(names[-1]).name}"


def _files(place: Path, split: str, published: Cifar) -> list[Path]:
    """The files of a split in a folder: one parquet file, or all binary ones; empty if they are absent."""
    whole, binary = split_file(place, split), [place / name for name in published.binary[split]]
    return [whole] if whole else binary if all(path.is_file() for path in binary) else []


def _download(spec: TaskSpec) -> dict[str, list[Path]]:
    repository, published = f"{OWNER}/{spec.locator}", CIFAR[spec.locator]
    place = (repository, published.folder)
    return {s: [hub_file(*place, s, published.revision, key="cifar_dir")] for s in _splits(spec)}


def _read_binary(paths: Sequence[Path], published: Cifar) -> "pd.DataFrame":
    """Read records of label bytes and 3,072 pixel bytes: 32 rows of 32 columns, red, then green, then blue."""
    import numpy as np
    import pandas as pd

    labels, size = len(published.labels), len(published.labels) + CHANNELS * SIDE * SIDE
    parts = []
    for path in paths:
        content = np.fromfile(path, dtype=np.uint8)
        if not len(content) or len(content) % size:
            raise UserError(f"{path}: {len(content):,} bytes do not divide into records of {size:,} bytes; fetch anew")
        parts.append(content.reshape(-1, size))
    records = np.concatenate(parts)
    planes = records[:, labels:].reshape(-1, CHANNELS, SIDE, SIDE)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))  # (N, 32, 32, 3)
    columns = {name: records[:, i].astype(np.int64) for i, name in enumerate(published.labels)}
    return pd.DataFrame({"image": pd.Series(list(images), dtype=object), **columns})


def _named(rows: "pd.DataFrame", spec: TaskSpec) -> "pd.DataFrame":
    """Rename the publishers' columns to the spec's."""
    for wanted, usual in ((spec.image, ("image", "img")), (spec.label, ("label", "fine_label"))):
        found = [name for name in usual if name in rows.columns]
        if wanted not in rows.columns and found:
            rows = rows.rename(columns={found[0]: wanted})
    return rows


def _is_jpeg(content: Any) -> bool:
    encoded = content.get("bytes") if isinstance(content, dict) else content
    return isinstance(encoded, bytes) and encoded.startswith(JPEG)
