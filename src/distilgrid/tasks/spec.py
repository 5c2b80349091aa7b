"""Specs of tasks as versioned data: columns, labels, metrics, splits and source. Light: no pandas."""

import codecs
import functools
import re
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.schema import Settings
from distilgrid.tasks.kind import TaskKind, find_kind, known_kinds

FILE_SCHEMES = ("csv", "jsonl", "parquet")
TABS = {"\\t": "\t", "tab": "\t"}
"""Spellings of a tab; YAML reads the first one as a tab within double quotes only."""
DESCRIPTIVE = frozenset({"licence", "homepage"})
"""Fields without influence on the rows."""
ENDINGS = {"csv": ("csv", "tsv", "tab", "txt"), "jsonl": ("jsonl", "ndjson", "json"), "parquet": ("parquet", "pq")}
"""Usual endings of files, before that of a compression."""
ADDRESS = re.compile(r"(?:(csv|jsonl|parquet):)?([A-Za-z][A-Za-z0-9+.-]*://.*)", re.DOTALL)
READING = {"delimiter": ("csv",), "encoding": ("csv", "jsonl")}
"""Fields on the reading of users' files, and the schemes that they go with."""


def _separating(value: str) -> str:
    if len(found := TABS.get(value, value)) != 1 or found in '"\r\n\0' or found.isalnum():
        raise ValueError("must be one character, as ';' or '|', or \"\\t\" for tabs")
    return found


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)
        b"a\xff".decode(name, "replace")  # codecs for names of hosts fail here
    except (LookupError, ValueError):
        raise ValueError(f"unknown encoding '{name}'; write utf-8, utf-16, cp1252, latin-1 or the like") from None
    return codecs.lookup(name).name


def _names(values: object) -> object:
    """Whole numbers as names; YAML reads other names without quotation marks as something else."""
    if not isinstance(values, list):
        return values
    for value in values:
        if not isinstance(value, str) and type(value) is not int:
            raise ValueError(f'write names in quotes, such as "true" or "1.5": YAML reads this one as {value}')
    return [str(value) for value in values]


Names = Annotated[list[str], BeforeValidator(_names, json_schema_input_type=list[str | float | bool | None])]
Delimiter = Annotated[str, AfterValidator(_separating)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]


class TaskSpec(Settings):
    """One task. Built-in specs are in `tasks/specs/*.yaml`; a user's own go under `tasks:` in the parameters."""

    version: int = Field(default=1, ge=1)
    """Bumped when the prepared rows of the task may change for the same source."""
    kind: str = "label"
    """`label`: a text with one label; `number`: a text with a real number (a regression); `image`: an image with one
    label; or a kind of an installed package."""
    source: str
    """`glue:<config>`, `docs:<corpus task>`, `csv:<file>`, `jsonl:<file>` (JSON lines) or `parquet:<file>`; for files,
    the training rows.
    For images `digits:sklearn`, `cifar:cifar10`, `cifar:cifar100` or `parquet:<file>`."""
    validation_source: str | None = None
    """A second file in the format of the source, with the rows that scores are reported on."""
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
    labels: Names | None = None
    """The label set in order; null takes the training file's sorted values. Names for the numbers 0, 1, 2, ... of a
    file are words; labels that look alike, or as missing values, are taken where they are listed."""
    options: dict[str, Any] = Field(default={})
    """Settings of a kind of an installed package; no other kind reads any."""
    metrics: list[str] = Field(default=["accuracy"], min_length=1)
    """The metrics to report; the first one selects checkpoints and ranks methods."""
    validation: list[str] = Field(default=["validation"], min_length=1)
    """The splits that scores are reported on; the first gives the main score."""
    delimiter: Delimiter | None = None
    """The character between the columns of a `csv:` file; null recognises commas, semicolons, tabs and bars."""
    encoding: Encoding | None = None
    """Encoding of a `csv:` or `jsonl:` file, such as cp1252; null reads UTF-8, or what a byte order mark says."""
    id: str | None = None
    """A column of a file that names each row; predictions keep it as `id`."""
    split_column: str | None = None
    """A column of a file that holds `train`, `dev` or `validation` for each row."""
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of rows held out, seeded and stratified, when a file brings neither split column nor validation file."""
    licence: str | None = None
    """Licence of the data: an SPDX identifier, or a few words. Cards show it; results do not depend on it."""
    homepage: str | None = None
    """Page of the publishers that states the licence."""

    @property
    def task_kind(self) -> TaskKind:
        """The kind, which owns everything that depends on what a row is."""
        return find_kind(self.kind)

    @property
    def scheme(self) -> str:
        """The part of the source before the colon."""
        return self.source.partition(":")[0]

    @property
    def own_file(self) -> bool:
        """Whether the rows come from a user's file instead of published data."""
        return self.scheme in FILE_SCHEMES

    @property
    def locator(self) -> str:
        """The part of the source after the colon."""
        return self.source.partition(":")[2]

    @property
    def columns(self) -> list[str]:
        """The columns that are read of a file."""
        inputs = self.text if self.task_kind.tokenised else [self.image]
        return [*inputs, self.label, *(name for name in (self.id, self.split_column) if name)]

    @model_validator(mode="before")
    @classmethod
    def _in_todays_words(cls, values: Any) -> Any:
        """Name the present spelling of settings from earlier versions."""
        if isinstance(values, Mapping) and "regression" in values:
            wanted = "write kind: number" if values["regression"] else "leave it out"
            raise ValueError(f"regression: {str(values['regression']).lower()} has gone; {wanted}")
        if isinstance(values, Mapping) and values.get("kind") == "text":
            raise ValueError("kind: text has gone; write kind: label, or kind: number for real numbers")
        return values

    @model_validator(mode="after")
    def _suits_kind(self) -> "TaskSpec":
        known = known_kinds()
        if self.kind not in known:
            raise ValueError(f"unknown kind '{self.kind}'; {did_you_mean(self.kind, known)}")
        kind = known[self.kind]
        self._check_source(kind)
        self._check_fields(kind)
        self._check_metrics(kind)
        kind.check_spec(self)
        if len(set(self.text)) < len(self.text):
            raise ValueError(f"text names the column '{self.text[0]}' twice; name two columns, or one")
        return self

    def _check_source(self, kind: TaskKind) -> None:
        for source in filter(None, (self.source, self.validation_source)):
            check_no_address(source)
        if self.scheme not in kind.sources or not self.locator:
            named = ", ".join(f"{scheme}:..." for scheme in kind.sources)
            other = next((name for name, its in known_kinds().items() if self.scheme in its.sources), self.kind)
            hint = "" if self.scheme in kind.sources or other == self.kind else f", or set kind: {other}"
            hint = _as_file(self.source) or hint
            raise ValueError(f"source '{self.source}' must be one of {named} for kind: {self.kind}{hint}")
        known = kind.sources[self.scheme].known
        if known and self.locator not in known:
            raise ValueError(f"source '{self.source}': unknown data set; {did_you_mean(self.locator, known)}")

    def _check_fields(self, kind: TaskKind) -> None:
        """Refuse a field that another kind reads."""
        kinds, defaults = known_kinds(), TaskSpec.model_fields
        for name in foreign_fields(kind):
            if getattr(self, name) != defaults[name].default:
                other = next((f" or set kind: {each}" for each, its in kinds.items() if name in its.fields), "")
                raise ValueError(f"kind: {self.kind} has no {name}; leave it out{other}")

    def _check_metrics(self, kind: TaskKind) -> None:
        for name in self.metrics:
            if name not in kind.metrics:
                other = next((each for each, its in known_kinds().items() if name in its.metrics), None)
                named = f"kind: {other} has it, and {self.kind} has {', '.join(kind.metrics)}"
                hint = named if other else did_you_mean(name, kind.metrics)
                raise ValueError(f"metrics: kind: {self.kind} has no '{name}'; {hint}")

    @model_validator(mode="after")
    def _separate_splits(self) -> "TaskSpec":
        if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) for name in self.validation):
            raise ValueError("validation names must be plain: letters, digits, - and _")
        if {"train", "dev"} & set(self.validation) or len(set(self.validation)) < len(self.validation):
            raise ValueError("validation must name splits other than train and dev, each once")
        return self

    @model_validator(mode="after")
    def _suits_files(self) -> "TaskSpec":
        for name, schemes in READING.items():
            if getattr(self, name) is not None and self.scheme not in schemes:
                raise ValueError(
                    f"{name} goes with a {' or '.join(f'{each}:' for each in schemes)} source; leave it out"
                )
        if self.id is not None and not self.own_file:
            raise ValueError("id goes with a file of rows; leave it out")
        if self.validation_source is not None and self.split_column is not None:
            raise ValueError("give either validation_source or split_column, not both")
        if self.validation_source is not None and not self.own_file:
            raise ValueError("validation_source goes with a csv:, jsonl: or parquet: source")
        if self.validation_source is not None and not self.validation_source.startswith(f"{self.scheme}:"):
            raise ValueError(f"validation_source must be a '{self.scheme}:' file, as the source is")
        return self


def check_no_address(source: str) -> None:
    """Raises ValueError with a remedy for a source that is, or holds, an address of the network."""
    scheme, address = found.groups() if (found := ADDRESS.fullmatch(source)) else (None, "")
    if address:
        name = address.partition("?")[0].rstrip("/").rpartition("/")[2]
        wanted = f"{scheme or _scheme_of(name) or 'csv'}:{name}"
        raise ValueError(
            f"source '{source}': addresses are not read, since what they hold may change; download the file and write "
            f"its path, as {wanted}"
        )


def _scheme_of(name: str) -> str | None:
    """The scheme that suits the name of a file."""
    endings = [ending.lower() for ending in name.split(".")[1:]]
    return next((scheme for scheme, usual in ENDINGS.items() if set(usual) & set(endings[-2:])), None)


def _as_file(source: str) -> str:
    """The end of a message about a source that is the path of a file, or begins with the ending of one."""
    ending, _, path = source.rpartition(":")
    scheme = _scheme_of(f".{ending}" if ending else path)
    return f"; write {scheme}:{path}" if scheme and scheme != ending and path else ""


def foreign_fields(kind: TaskKind) -> list[str]:
    """Fields of a spec that only other kinds read."""
    owned = {"options"}.union(*(each.fields for each in known_kinds().values()))
    return sorted(owned - kind.fields)


@functools.cache
def builtin_tasks() -> dict[str, TaskSpec]:
    """Specs of the package by name."""
    found: dict[str, TaskSpec] = {}
    for entry in sorted(resources.files("distilgrid.tasks").joinpath("specs").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            found |= {name: TaskSpec(**spec) for name, spec in yaml.safe_load(entry.read_text()).items()}
    return found


def find_task(name: str, own: Mapping[str, TaskSpec]) -> TaskSpec:
    """Look up a task; the user's specs win over built-in ones. Raises UserError with a suggestion."""
    known = {**builtin_tasks(), **own}
    if name not in known:
        raise UserError(f"grid.tasks: unknown task '{name}'; {did_you_mean(name, known)}")
    return known[name]
