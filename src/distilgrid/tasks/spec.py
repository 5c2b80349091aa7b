"""What a task is: columns, labels, metric, splits and source, as versioned data. Light: no pandas here."""

import functools
import re
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import yaml
from pydantic import Field, model_validator

from distilgrid.core.errors import UNPRINTABLE, UserError, did_you_mean
from distilgrid.core.schema import Settings

Metric = Literal["accuracy", "f1", "matthews", "pearson", "spearman"]
SCHEMES = {
    "text": ("glue", "docs", "csv", "parquet"),
    "image": ("digits", "cifar", "parquet"),
}
FILE_SCHEMES = ("csv", "parquet")
BUNDLED = {"digits": ("sklearn",), "cifar": ("cifar10", "cifar100")}
IMAGE_FIELDS = frozenset({"kind", "image", "image_size", "mean", "std"})
"""Fields that say nothing about a text task, so its recipe leaves them out."""
DESCRIPTIVE = frozenset({"licence", "homepage"})
"""Fields that decide nothing about the rows."""


class TaskSpec(Settings):
    """One task. Built-in specs are in `tasks/specs/*.yaml`; a user's own go under `tasks:` in the parameters."""

    version: int = Field(default=1, ge=1)
    """Bumped when the prepared rows of the task may change for the same source."""
    kind: Literal["text", "image"] = "text"
    """What is classified: texts or images."""
    source: str
    """`glue:<config>`, `docs:<corpus task>`, `csv:<file>` or `parquet:<file>`; for files, the training rows.
    For images `digits:sklearn`, `cifar:cifar10`, `cifar:cifar100` or `parquet:<file>`."""
    validation_source: str | None = None
    """A second `csv:`/`parquet:` file with the rows that scores are reported on."""
    text: list[str] = Field(default=[], max_length=2)
    """The text column, or the two columns of a sentence pair; none for images."""
    image: str = "image"
    """The column of encoded images (PNG, JPEG and the like): bytes, or a struct with the field `bytes`."""
    image_size: int | None = Field(default=None, ge=4, le=1024)
    """Side in pixels of the square that images are resized to; null wants images of one size and keeps it."""
    mean: list[float] | None = None
    """Mean of each colour channel in 0..1, which models subtract; null computes it from the training rows."""
    std: list[float] | None = None
    """Standard deviation of each colour channel in 0..1; null computes it from the training rows."""
    label: str = "label"
    """The label column."""
    labels: list[str] | None = None
    """The label set in order; null takes the training file's sorted values, or real numbers for a regression."""
    regression: bool = False
    """Real-valued labels, trained with the mean squared error."""
    metrics: list[Metric] = Field(default=["accuracy"], min_length=1)
    """The metrics to report; the first one selects checkpoints and ranks methods."""
    validation: list[str] = Field(default=["validation"], min_length=1)
    """The splits that scores are reported on; the first gives the main score."""
    split_column: str | None = None
    """A column of a `csv:`/`parquet:` file that holds `train`, `dev` or `validation` for each row."""
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of rows held out, seeded and stratified, when a file brings neither split column nor validation file."""
    licence: str | None = None
    """Under which terms the data comes: an SPDX identifier, or a few words. Shown in cards; changes no result."""
    homepage: str | None = None
    """Where its publishers say so."""

    @property
    def scheme(self) -> str:
        """The part of the source before the colon."""
        return self.source.partition(":")[0]

    @property
    def own_file(self) -> bool:
        """Whether the rows come from a user's file, not from published data."""
        return self.scheme in FILE_SCHEMES

    @property
    def locator(self) -> str:
        """The part of the source after the colon."""
        return self.source.partition(":")[2]

    @model_validator(mode="after")
    def _consistent(self) -> "TaskSpec":
        self._check_source()
        correlations = {"pearson", "spearman"} & set(self.metrics)
        if self.regression and len(correlations) != len(self.metrics):
            raise ValueError("a regression task takes the metrics pearson and spearman")
        if not self.regression and correlations:
            raise ValueError("pearson and spearman need regression: true")
        if self.labels is not None and len(set(self.labels)) != max(2, len(self.labels)):
            raise ValueError("labels must name at least two labels, each once")
        if any(UNPRINTABLE.search(label) for label in self.labels or []):
            raise ValueError("labels must not hold control characters or line breaks")
        if "f1" in self.metrics and self.labels is not None and len(self.labels) != 2:
            raise ValueError("f1 is defined here for two labels, the second one being positive")
        return self

    def _check_source(self) -> None:
        schemes = SCHEMES[self.kind]
        if self.scheme not in schemes or not self.locator:
            named = ", ".join(f"{scheme}:..." for scheme in schemes)
            other = [kind for kind, found in SCHEMES.items() if self.scheme in found and kind != self.kind]
            hint = f", or set kind: {other[0]}" if other else ""
            raise ValueError(f"source '{self.source}' must be one of {named} for kind: {self.kind}{hint}")
        known = BUNDLED.get(self.scheme, (self.locator,))
        if self.locator not in known:
            raise ValueError(f"source '{self.source}': unknown data set; {did_you_mean(self.locator, known)}")

    @model_validator(mode="after")
    def _suits_kind(self) -> "TaskSpec":
        if self.kind == "text":
            defaults = TaskSpec.model_fields
            stray = [name for name in sorted(IMAGE_FIELDS) if getattr(self, name) != defaults[name].default]
            if stray:
                raise ValueError(f"{stray[0]} is for images; set kind: image or leave it out")
            if not self.text:
                raise ValueError("text must name the text column, or the two columns of a sentence pair")
            return self
        if self.text:
            raise ValueError("an image task has no text columns; leave text out or set kind: text")
        if self.regression:
            raise ValueError("an image task takes labels; regression is for texts")
        self._check_statistics()
        return self

    def _check_statistics(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
        if self.mean is None or self.std is None:
            return
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError("mean and std take one number for grey images, or three for colour")
        if not all(0 <= value <= 1 for value in self.mean) or not all(0 < value <= 1 for value in self.std):
            raise ValueError("mean and std are shares of the brightest value: mean in 0..1, std above 0 and up to 1")

    @model_validator(mode="after")
    def _separate_splits(self) -> "TaskSpec":
        if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) for name in self.validation):
            raise ValueError("validation names must be plain: letters, digits, - and _")
        if {"train", "dev"} & set(self.validation) or len(set(self.validation)) < len(self.validation):
            raise ValueError("validation must name splits other than train and dev, each once")
        if self.validation_source is not None and self.split_column is not None:
            raise ValueError("give either validation_source or split_column, not both")
        if self.validation_source is not None and not self.own_file:
            raise ValueError("validation_source goes with a csv: or parquet: source")
        if self.validation_source is not None and not self.validation_source.startswith(f"{self.scheme}:"):
            raise ValueError(f"validation_source must be a '{self.scheme}:' file, as the source is")
        return self


@functools.cache
def builtin_tasks() -> dict[str, TaskSpec]:
    """The specs shipped with the package, by name."""
    found: dict[str, TaskSpec] = {}
    for entry in sorted(resources.files("distilgrid.tasks").joinpath("specs").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            found |= {name: TaskSpec(**spec) for name, spec in yaml.safe_load(entry.read_text()).items()}
    return found


def find_task(name: str, own: Mapping[str, TaskSpec]) -> TaskSpec:
    """The spec of a task; the user's own definitions win over built-in ones.

    Raises:
        UserError: for an unknown name, with a suggestion.
    """
    known = {**builtin_tasks(), **own}
    if name not in known:
        raise UserError(f"grid.tasks: unknown task '{name}'; {did_you_mean(name, known)}")
    return known[name]
