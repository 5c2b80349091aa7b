"""Images from digits and users' own files to prepared splits: what is kept, what is refused, which rows go where."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.unit.made import prepare
from tests.unit.pictures import content_id, encoded, pictures
from tests.unit.refusals import refused

from distilgrid.core.artefacts import read_json
from distilgrid.tasks.dataset import Dataset, limit_rows, open_dataset
from distilgrid.tasks.kinds.image.rows import ImageShape, image_shape, read_pixels
from distilgrid.tasks.kinds.label.declare import KIND as LABEL
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec, builtin_tasks

Prepare = Callable[..., Dataset]
WORDS = ("cat", "dog", "owl")


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """Prepares images from a frame, by a spec given as keywords."""
    made = iter(range(99))

    def run(frame: pd.DataFrame, *, data: dict[str, Any] | None = None, **spec: Any) -> Dataset:
        number = next(made)
        path, out = tmp_path / f"rows-{number}.parquet", tmp_path / f"prepared-{number}"
        frame.to_parquet(path, index=False)
        task = TaskSpec(kind="image", source=f"parquet:{path}", **spec)
        prepare(task="own", spec=task, data=Data(**(data or {})), out=out)
        return open_dataset(out)

    return run


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("digits") / "out"
    prepare(task="digits", spec=builtin_tasks()["digits"], data=Data(), out=out)
    return open_dataset(out)


def table(images: list[Any], column: str = "image") -> pd.DataFrame:
    return pd.DataFrame({column: images, "label": [WORDS[i % 3] for i in range(len(images))]})


def colour(count: int = 60) -> tuple[list[np.ndarray], pd.DataFrame]:
    images = pictures(count, 6, 5, 3)
    return images, table([encoded(image) for image in images])


def by_id(dataset: Dataset) -> dict[int, np.ndarray]:
    """All images of a data set by the id beside them."""
    found: dict[int, np.ndarray] = {}
    for name in dataset.splits:
        found |= dict(zip(dataset.split(name)["example_id"].tolist(), read_pixels(dataset, name), strict=True))
    return found


def test_all_digits_are_prepared_with_their_pixels(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    expected = np.floor(source.images * 255 / 16 + 0.5).astype(np.uint8)[..., np.newaxis]
    assert sum(split["rows"] for split in digits.splits.values()) == 1797
    wanted = {content_id(image): (image, label) for image, label in zip(expected, source.target, strict=True)}
    for name in digits.splits:
        frame, images = digits.split(name), read_pixels(digits, name)
        assert images.shape == (len(frame), 8, 8, 1) and images.dtype == np.uint8
        for identity, label, image in zip(frame["example_id"], frame["label"], images, strict=True):
            assert (wanted[identity][0] == image).all() and wanted[identity][1] == label
    assert expected.max() == 255 and expected.min() == 0


def test_the_digits_of_each_class_are_split_by_their_shares(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    whole = np.bincount(load_digits().target)
    assert set(digits.splits) == {"train", "dev", "test"} and digits.validation == ("test",)
    counts = {name: list(split["label_counts"].values()) for name, split in digits.splits.items()}
    assert (np.sum(list(counts.values()), axis=0) == whole).all()
    assert counts["test"] == pytest.approx(0.2 * whole, abs=1)
    assert counts["dev"] == pytest.approx(0.08 * whole, abs=1)
    assert digits.labels == tuple("0123456789") and digits.outputs == 10
    assert "no official test split" in digits.notes[0]


def test_the_statistics_are_those_of_the_training_rows(digits: Dataset) -> None:
    assert digits.kind == "image" and not digits.pair
    assert isinstance(image_shape(digits), ImageShape)
    assert (image_shape(digits).height, image_shape(digits).width, image_shape(digits).channels) == (8, 8, 1)
    train = read_pixels(digits, "train") / 255
    assert image_shape(digits).mean == pytest.approx((train.mean(),), abs=1e-6)
    assert image_shape(digits).std == pytest.approx((train.std(),), abs=1e-6)


@pytest.mark.parametrize("struct", [False, True])
def test_encoded_images_keep_their_pixels(prepared: Prepare, struct: bool) -> None:
    images, frame = colour()
    if struct:
        frame["image"] = [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(frame["image"])]
    dataset = prepared(frame, validation_fraction=0.3)
    found = by_id(dataset)
    assert found.keys() == {content_id(image) for image in images}
    assert all((found[content_id(image)] == image).all() for image in images)
    assert dataset.labels == WORDS
    for name in dataset.splits:
        rows = dataset.split(name)
        assert rows.columns.tolist() == ["label", "example_id"]
        for identity, label in zip(rows["example_id"], rows["label"], strict=True):
            assert frame["label"][[content_id(image) for image in images].index(identity)] == WORDS[label]


def test_images_keep_the_users_names_of_rows(prepared: Prepare) -> None:
    images, frame = colour()
    dataset = prepared(frame.assign(file=[f"{i}.png" for i in range(len(frame))]), id="file")
    names = {content_id(image): f"{i}.png" for i, image in enumerate(images)}
    for name in dataset.splits:
        assert dataset.ids(name)["id"].tolist() == [names[each] for each in dataset.split(name)["example_id"]]


def test_pixels_are_kept_row_by_row_in_a_fixed_width(prepared: Prepare) -> None:
    images, frame = colour()
    dataset = prepared(frame)
    stored = pq.read_table(dataset.folder / "train.parquet")
    assert stored.column_names == ["pixels", "label", "example_id"]
    assert str(stored.schema.field("pixels").type) == "fixed_size_binary[90]"
    first = next(image for image in images if content_id(image) == stored["example_id"][0].as_py())
    assert stored["pixels"][0].as_py() == bytes(first[y, x, c] for y in range(6) for x in range(5) for c in range(3))
    description = read_json(dataset.folder / "dataset.json")
    assert description["kind"] == "image"
    assert set(description["image"]) == {"height", "width", "channels", "mean", "std"}


def test_the_statistics_of_each_channel_are_kept_or_taken_from_the_task(prepared: Prepare) -> None:
    dataset = prepared(colour()[1])
    train = read_pixels(dataset, "train").reshape(-1, 3) / 255
    assert image_shape(dataset).mean == pytest.approx(train.mean(axis=0), abs=1e-6)
    assert image_shape(dataset).std == pytest.approx(train.std(axis=0), abs=1e-6)
    given = image_shape(prepared(colour()[1], mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6]))
    assert given == ImageShape(6, 5, 3, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_statistics_for_other_channels_are_refused(prepared: Prepare) -> None:
    message = refused(lambda: prepared(colour()[1], mean=[0.5], std=[0.5]))
    assert "for 1 channels, its images have 3" in message


def test_a_channel_that_never_varies_is_refused(prepared: Prepare) -> None:
    images = [image * np.array([1, 0, 1], dtype=np.uint8) for image in pictures(60, 6, 5, 3)]
    assert "channel 2 never varies" in refused(lambda: prepared(table([encoded(image) for image in images])))


def test_grey_images_stay_grey_unless_others_have_colour(prepared: Prepare) -> None:
    grey = [encoded(image) for image in pictures(59, 6, 5)]
    shape = image_shape(prepared(table([*grey, encoded(pictures(60, 6, 5)[59])])))
    assert shape is not None and shape.channels == 1
    mixed = prepared(table([*grey, encoded(pictures(1, 6, 5, 3)[0])]))
    assert image_shape(mixed).channels == 3
    repeated = [image for image in by_id(mixed).values() if (image[..., :1] == image).all()]
    assert len(repeated) == 59
    assert {image[..., 0].tobytes() for image in repeated} == {image.tobytes() for image in pictures(59, 6, 5)}


def test_images_of_other_sizes_are_refused_with_the_row(prepared: Prepare) -> None:
    frame = table([*colour()[1]["image"][:6], encoded(pictures(1, 9, 7, 3)[0]), *colour()[1]["image"][7:]])
    message = refused(lambda: prepared(frame))
    assert re.search(r"rows-0\.parquet \(train\): row 7: .* 7 x 9 pixels, .* 5 x 6; set the task's image_size", message)


def test_images_are_resized_to_a_square(prepared: Prepare) -> None:
    images = [*pictures(30, 9, 7, 3), *pictures(30, 8, 8, 3)]
    dataset = prepared(table([encoded(image) for image in images]), image_size=8)
    assert (image_shape(dataset).height, image_shape(dataset).width) == (8, 8)
    found = by_id(dataset)
    assert all(content_id(image) in found for image in images[30:])  # those of the right size are untouched
    resized = np.asarray(Image.fromarray(images[0]).resize((8, 8), Image.Resampling.BICUBIC))
    assert content_id(resized) in found


def test_digits_are_resized_too(tmp_path: Path) -> None:
    spec = builtin_tasks()["digits"].model_copy(update={"image_size": 12})
    prepare(task="digits", spec=spec, data=Data(), out=tmp_path / "out")
    assert read_pixels(open_dataset(tmp_path / "out"), "test").shape[1:] == (12, 12, 1)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"no image at all", "image cannot be read"),
        (encoded(pictures(1, 6, 5, 3)[0])[:60], "image cannot be read"),
        (None, "holds no image bytes"),
        (encoded(np.full((6, 5), 40_000, dtype=np.uint16)), "convert it to 8 bits"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n", "image cannot be read"),  # would start another program
    ],
)
def test_an_unreadable_image_is_named_with_its_row(prepared: Prepare, content: bytes | None, named: str) -> None:
    _, frame = colour()
    frame["image"] = [*frame["image"][:8], content, *frame["image"][9:]]
    message = refused(lambda: prepared(frame))
    assert "rows-0.parquet (train): row 9: " in message and named in message


def test_images_that_are_only_named_are_refused(prepared: Prepare) -> None:
    frame = table([{"bytes": None, "path": f"{i}.png"} for i in range(30)])
    assert "row 1: holds no image bytes" in refused(lambda: prepared(frame))
    assert "row 1: holds str, not the bytes" in refused(lambda: prepared(table(["a.png"] * 30)))


@pytest.mark.parametrize(("spec", "near"), [({"image": "imge"}, "image"), ({"label": "labl"}, "label")])
def test_a_missing_column_is_named_with_the_nearest(prepared: Prepare, spec: dict[str, str], near: str) -> None:
    message = refused(lambda: prepared(colour()[1], **spec))
    assert "no column" in message and f"did you mean '{near}'?" in message


def test_a_label_outside_the_set_is_named_with_its_row(prepared: Prepare) -> None:
    message = refused(lambda: prepared(colour()[1], labels=["cat", "dog"]))
    assert "row 3: label 'owl' is outside the set (cat, dog)" in message
    numbered = colour()[1].assign(label=[i % 3 for i in range(60)])
    assert "row 3: label '2' is outside the set" in refused(lambda: prepared(numbered, labels=["cat", "dog"]))


def test_a_label_that_no_row_has_is_refused(prepared: Prepare) -> None:
    message = refused(lambda: prepared(colour()[1], labels=[*WORDS, "yak", "zebu"]))
    assert "holds 3 of the task's 5 labels, none of 'yak'" in message


def test_numbers_stand_for_labels_in_their_order(prepared: Prepare) -> None:
    images, frame = colour()
    dataset = prepared(frame.assign(label=[2 - i % 3 for i in range(60)]), labels=list(WORDS))
    expected = {content_id(image): 2 - i % 3 for i, image in enumerate(images)}
    for name in dataset.splits:
        rows = dataset.split(name)
        assert [expected[identity] for identity in rows["example_id"]] == rows["label"].tolist()


def test_a_validation_file_gives_the_validation_rows_in_their_order(prepared: Prepare, tmp_path: Path) -> None:
    held = pictures(9, 6, 5, 3, seed=1)
    table([encoded(image) for image in held]).to_parquet(tmp_path / "held.parquet")
    source = f"parquet:{tmp_path}/held.parquet"
    dataset = prepared(colour()[1], validation_source=source)
    assert (read_pixels(dataset, "validation") == np.stack(held)).all()
    assert dataset.split("validation")["label"].tolist() == [0, 1, 2] * 3
    table([b""] * 3).to_parquet(tmp_path / "held.parquet")
    assert "held.parquet: row 1: image cannot" in refused(lambda: prepared(colour()[1], validation_source=source))


def test_equal_images_are_never_in_two_splits(prepared: Prepare) -> None:
    images = pictures(97, 4, 4)
    frame = pd.DataFrame(
        {"image": [encoded(images[i % 97]) for i in range(400)], "label": [i % 97 % 2 for i in range(400)]}
    )
    dataset = prepared(frame, data={"max_train_rows": 150})
    found = [set(dataset.split(name)["example_id"]) for name in dataset.splits]
    assert all(found)
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])


def test_smaller_shares_are_part_of_larger_ones_and_keep_the_labels(digits: Dataset) -> None:
    frame = digits.split("train")
    whole = frame["label"].value_counts(normalize=True).sort_index()
    smaller: set[int] = set()
    for share in (0.05, 0.1, 0.5):
        part = limit_rows(frame, round(share * len(frame)), seed=0, kind=LABEL, purpose="fraction")
        assert smaller < set(part["example_id"])
        smaller = set(part["example_id"])
        assert part["label"].value_counts(normalize=True).sort_index().tolist() == pytest.approx(whole, abs=0.02)


def test_splits_do_not_depend_on_the_order_of_rows(prepared: Prepare) -> None:
    _, frame = colour()
    one, other = (prepared(f, data={"max_dev_rows": 5}) for f in (frame, frame[::-1]))
    assert image_shape(one) == image_shape(other)
    for name in one.splits:
        assert set(one.split(name)["example_id"]) == set(other.split(name)["example_id"])


def test_images_are_read_without_copies(digits: Dataset) -> None:
    images = read_pixels(digits, "train")
    assert not images.flags.owndata and images.flags.c_contiguous
    assert "did you mean 'train'?" in refused(lambda: read_pixels(digits, "trian"))
