"""CIFAR from official and local files, what image tasks may say, and what their keys and revisions hold."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from tests.unit.made import prepare
from tests.unit.pictures import content_id, encoded, pictures
from tests.unit.refusals import refused

from distilgrid.plan.params import data_folders, parse_params
from distilgrid.stages.prepare.declare import PrepareSettings
from distilgrid.stages.table import STAGES
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kinds.image.rows import ImageShape, image_shape, read_pixels
from distilgrid.tasks.settings import Data
from distilgrid.tasks.sources import Folders, source_revision
from distilgrid.tasks.spec import TaskSpec, builtin_tasks


def records(images: list[np.ndarray], *labels: list[int]) -> bytes:
    """CIFAR's binary form, written value by value: label bytes, then the planes of red, green and blue."""
    found = bytearray()
    for number, image in enumerate(images):
        found += bytes(column[number] for column in labels)
        for channel in range(3):
            found += bytes(int(image[y, x, channel]) for y in range(32) for x in range(32))
    return bytes(found)


def cifar(folder: Path, out: Path, name: str = "cifar10") -> Dataset:
    spec = builtin_tasks()[name]
    prepare(task=name, spec=spec, data=Data(), out=out, folders=Folders(cifar=folder))
    return open_dataset(out)


@pytest.mark.parametrize("place", ["", "cifar10", "cifar-10-batches-bin"])
def test_official_binary_files_are_read(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "cifar" / place
    folder.mkdir(parents=True)
    images = pictures(60, 32, 32, 3)
    for number in range(5):
        part = images[10 * number : 10 * number + 10]
        (folder / f"data_batch_{number + 1}.bin").write_bytes(records(part, list(range(10))))
    (folder / "test_batch.bin").write_bytes(records(images[50:], list(range(9, -1, -1))))
    dataset = cifar(tmp_path / "cifar", tmp_path / "out")
    assert (read_pixels(dataset, "test") == np.stack(images[50:])).all()
    assert dataset.split("test")["label"].tolist() == list(range(9, -1, -1))
    train = dict(zip(dataset.split("train")["example_id"], dataset.split("train")["label"], strict=True))
    assert len(train) == 45
    assert all(train.get(content_id(image), i % 10) == i % 10 for i, image in enumerate(images[:50]))
    assert image_shape(dataset) == ImageShape(32, 32, 3, (0.507, 0.487, 0.441), (0.267, 0.256, 0.276))
    assert dataset.notes == ()


def test_official_binary_files_of_cifar100_give_the_fine_labels(tmp_path: Path) -> None:
    images, fine = pictures(200, 32, 32, 3), [i % 100 for i in range(200)]
    (tmp_path / "train.bin").write_bytes(records(images, [7] * 200, fine))
    (tmp_path / "test.bin").write_bytes(records(images[:3], [1, 2, 3], [99, 0, 54]))
    dataset = cifar(tmp_path, tmp_path / "out", "cifar100")
    assert [dataset.labels[i] for i in dataset.split("test")["label"]] == ["worm", "apple", "orchid"]
    assert (read_pixels(dataset, "test") == np.stack(images[:3])).all()


def test_a_binary_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(bytes(3073))
    (tmp_path / "test_batch.bin").write_bytes(bytes(3000))
    message = refused(lambda: cifar(tmp_path, tmp_path / "out"))
    assert "test_batch.bin: 3,000 bytes do not divide into records of 3,073 bytes" in message


def test_parquet_files_of_the_hub_are_read(tmp_path: Path) -> None:
    images = pictures(200, 32, 32, 3)
    cells = [{"bytes": encoded(image), "path": None} for image in images]
    frame = pd.DataFrame({"img": cells, "fine_label": [i % 100 for i in range(200)], "coarse_label": 0})
    (tmp_path / "cifar100").mkdir()
    frame.to_parquet(tmp_path / "cifar100" / "train-00000-of-00001.parquet")
    frame[:100].to_parquet(tmp_path / "cifar100" / "test-00000-of-00001.parquet")
    dataset = cifar(tmp_path, tmp_path / "out", "cifar100")
    assert (read_pixels(dataset, "test") == np.stack(images[:100])).all()
    assert dataset.splits["test"]["label_counts"]["worm"] == 1
    assert dataset.notes == ()


def test_jpeg_copies_and_subsets_are_noted(tmp_path: Path) -> None:
    images = [encoded(image, "JPEG") for image in pictures(40, 32, 32, 3)]
    frame = pd.DataFrame({"image": images, "label": [i % 10 for i in range(40)]})
    frame.to_parquet(tmp_path / "train_subset.parquet")
    frame[:10].to_parquet(tmp_path / "test.parquet")
    notes = cifar(tmp_path, tmp_path / "out").notes
    assert [note.partition(",")[0] for note in notes] == [
        "train: a subset of the official split",
        "train: JPEG copies",
        "test: JPEG copies",
    ]


def test_missing_cifar_files_are_named(tmp_path: Path) -> None:
    message = refused(lambda: cifar(tmp_path, tmp_path / "out"))
    assert f"{tmp_path}: no train.parquet or data_batch_1.bin to data_batch_5.bin of cifar10" in message
    assert "DISTILGRID_CIFAR_DIR" in message
    (tmp_path / "train.parquet").touch()
    assert "no test.parquet or test_batch.bin" in refused(lambda: cifar(tmp_path, tmp_path / "out"))
    (tmp_path / "test.parquet").touch()
    assert "train.parquet: cannot be read" in refused(lambda: cifar(tmp_path, tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "place", "file", "archive"),
    [
        ("cifar10", "cifar-10-batches-py", "data_batch_1", "cifar-10-binary.tar.gz, which holds data_batch_1.bin"),
        ("cifar10", ".", "data_batch_1", "cifar-10-binary.tar.gz, which holds data_batch_1.bin"),
        ("cifar100", "cifar-100-python", "train", "cifar-100-binary.tar.gz, which holds train.bin"),
    ],
)
def test_pickled_batches_are_named_and_not_read(tmp_path: Path, name: str, place: str, file: str, archive: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / file).write_bytes(b"no pickle is opened")
    message = refused(lambda: cifar(tmp_path, tmp_path / "data", name))
    assert message == f"{tmp_path / place}: pickled batches are not read; take {archive}, or parquet files"


def test_cifar10_is_not_taken_for_cifar100(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": [encoded(image) for image in pictures(40, 32, 32, 3)], "label": [0, 1, 2, 9] * 10})
    for name in ("train", "test"):
        frame.to_parquet(tmp_path / f"{name}.parquet")
    message = refused(lambda: cifar(tmp_path, tmp_path / "out", "cifar100"))
    assert "train.parquet: holds 4 of the task's 100 labels" in message


def test_without_a_folder_the_hub_serves_pinned_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifar10", "cifar100"):
        assert re.fullmatch(rf"hub:uoft-cs/{name}@[0-9a-f]{{40}}", source_revision(builtin_tasks()[name], Folders()))
    asked: list[tuple[str, str]] = []

    def unreachable(repository: str, name: str, **options: str) -> str:
        asked.append((name, options["revision"]))
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    spec = builtin_tasks()["cifar10"]
    message = refused(lambda: prepare(task="cifar10", spec=spec, data=Data(), out=tmp_path / "out"))
    assert "cannot be fetched (no network); offline, set data.cifar_dir" in message
    assert asked == [("plain_text/train-00000-of-00001.parquet", source_revision(spec, Folders()).partition("@")[2])]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("DISTILGRID_CIFAR_DIR"), reason="DISTILGRID_CIFAR_DIR is unset")
def test_real_cifar10_is_prepared(tmp_path: Path) -> None:
    spec = builtin_tasks()["cifar10"]
    folders = Folders(cifar=Path(os.environ["DISTILGRID_CIFAR_DIR"]))
    prepare(task="cifar10", spec=spec, data=Data(max_dev_rows=5000), out=tmp_path / "out", folders=folders)
    dataset = open_dataset(tmp_path / "out")
    assert read_pixels(dataset, "train").shape == (dataset.splits["train"]["rows"], 32, 32, 3)
    assert dataset.splits["train"]["rows"] + dataset.splits["dev"]["rows"] == 50_000
    assert dataset.splits["dev"]["rows"] == pytest.approx(5000, abs=10)
    assert set(dataset.splits["test"]["label_counts"].values()) == {1000}
    assert read_pixels(dataset, "train").mean(axis=(0, 1, 2)) / 255 == pytest.approx([0.491, 0.482, 0.447], abs=0.002)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"source": "csv:x"}, "text must name the text column"),
        (
            {"source": "csv:x", "text": ["a"], "image_size": 8},
            "no image_size; leave it out or set kind: image",
        ),
        (
            {"source": "csv:x", "text": ["a"], "image": "photo"},
            "no image; leave it out or set kind: image",
        ),
        ({"source": "digits:sklearn", "text": ["a"]}, "or set kind: image"),
        ({"kind": "image", "source": "csv:x"}, "must be one of digits:..., cifar:..., parquet:..."),
        ({"kind": "image", "source": "cifar:cifar11"}, "did you mean 'cifar10'?"),
        (
            {"kind": "image", "source": "digits:sklearn", "text": ["a"]},
            "no text; leave it out or set kind: label",
        ),
        ({"kind": "image", "source": "parquet:x", "regression": True, "metrics": ["pearson"]}, "write kind: number"),
        ({"kind": "image", "source": "parquet:x", "metrics": ["pearson"]}, "kind: number has it"),
        ({"kind": "image", "source": "parquet:x", "mean": [0.5]}, "both mean and std"),
        ({"kind": "image", "source": "parquet:x", "mean": [0.5, 0.5], "std": [0.5, 0.5]}, "three for colour"),
        ({"kind": "image", "source": "parquet:x", "mean": [127.0], "std": [60.0]}, "in 0..1"),
        ({"kind": "image", "source": "parquet:x", "mean": [0.5], "std": [0.0]}, "std above 0"),
        ({"kind": "image", "source": "parquet:x", "image_size": 0}, "image_size"),
    ],
)
def test_a_contradictory_task_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(named)):
        TaskSpec(**fields)


def prepared(spec: TaskSpec, data: Data | None = None) -> dict[str, Any]:
    """The recipe of prepared data."""
    return STAGES["prepare"].made_from(PrepareSettings("any", spec, data or Data(), Folders()), {})


def test_the_fields_of_images_are_not_in_the_key_of_texts(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,label\n")
    spec = TaskSpec(source=f"csv:{tmp_path}/x.csv", text=["a"])
    recipe = prepared(spec, Data(cifar_dir="/somewhere"))
    known = "version kind text label labels metrics validation split_column validation_fraction delimiter encoding id"
    assert set(recipe["spec"]) == set(known.split())
    assert set(recipe["data"]) == {"max_train_rows", "dev_fraction", "max_dev_rows", "max_validation_rows", "seed"}


def test_the_fields_of_images_are_in_the_key_of_images(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"rows")
    spec = TaskSpec(kind="image", source=f"parquet:{tmp_path}/x")
    key = prepared(spec)["spec"]
    assert {"kind", "image", "image_size", "mean", "std"} <= key.keys()
    assert "source" not in key
    resized = spec.model_copy(update={"image_size": 16})
    assert prepared(resized)["spec"] != key


def test_the_content_of_local_files_is_their_revision(tmp_path: Path) -> None:
    spec = builtin_tasks()["cifar10"]
    for name in ("train", "test"):
        (tmp_path / f"{name}.parquet").write_bytes(name.encode())
    one = source_revision(spec, Folders(cifar=tmp_path))
    digests = {name: hashlib.sha256(name.encode()).hexdigest()[:16] for name in ("train", "test")}
    assert one == f"files:train.parquet={digests['train']},test.parquet={digests['test']}"
    (tmp_path / "test.parquet").write_bytes(b"other")
    assert source_revision(spec, Folders(cifar=tmp_path)) != one
    assert source_revision(builtin_tasks()["digits"], Folders()).startswith("files:digits.csv.gz=")


def test_revisions_of_images_load_nothing_heavy(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.parquet").write_bytes(name.encode())
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from distilgrid.tasks.sources import Folders, source_revision\n"
        "from distilgrid.tasks.spec import builtin_tasks\n"
        "for name in ('digits', 'cifar10'):\n"
        f"    source_revision(builtin_tasks()[name], Folders(cifar=Path({str(tmp_path)!r})))\n"
        "print({'torch', 'numpy', 'pandas', 'sklearn', 'PIL', 'pyarrow'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_folder_of_cifar_comes_from_the_parameters_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTILGRID_GLUE_DIR", raising=False)
    monkeypatch.setenv("DISTILGRID_CIFAR_DIR", str(tmp_path))
    values: dict[str, Any] = {
        "grid": {"tasks": ["digits"], "teachers": ["t"], "methods": ["kd"], "students": ["s"], "seeds": [0]},
        "teachers": {"t": {"source": "path:nowhere"}},
        "students": {"s": {"layers": 2}},
    }
    assert data_folders(parse_params(values, origin="x")) == Folders(cifar=tmp_path)
    (tmp_path / "other").mkdir()
    values["data"] = {"cifar_dir": str(tmp_path / "other")}
    assert data_folders(parse_params(values, origin="x")) == Folders(cifar=tmp_path / "other")
    values["data"] = {"cifar_dir": "/nowhere/cifar"}
    message = refused(lambda: data_folders(parse_params(values, origin="x")))
    assert message == "data.cifar_dir / DISTILGRID_CIFAR_DIR: no folder '/nowhere/cifar'; correct or unset it"


def test_texts_hold_no_images(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(30)))
    spec = TaskSpec(source=f"csv:{tmp_path}/x.csv", text=["text"])
    prepare(task="x", spec=spec, data=Data(), out=tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert (dataset.kind, dataset.pair) == ("label", False)
    assert not {"height", "width", "channels"} & set(dataset.details)
    assert "images are wanted here" in refused(lambda: dataset.task_kind.batch().shape(dataset))
