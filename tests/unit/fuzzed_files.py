"""Data files of the kinds that people bring, drawn by hypothesis, and next to each what stands in it.

The files are written here, byte by byte or by pyarrow. What a cell says is known before it is written, so that a test
compares with that and not with another reader.
"""

import bz2
import gzip
import io
import lzma
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from hypothesis import strategies as st

Verdict = Literal["taken", "refused", "either", "unknown"]
"""What a reader has to do: take a file, refuse it, take it as it is or refuse it; or nobody knows what stands in it."""

WORDS = [
    "a, b", 'say "so"', '"', '""', '","', "'", "two\nlines", "two\r\nlines", "\nfirst", "last\n", "a\n\nb",
    "tab\there", "semi;colon", "pipe|d", " before", "behind ", "NA", "null", "nan", "None", "n/a", "true", "0", "01",
    "1.0", "1e5", "-0", "2020-01-01", "# none", "=1+1", "back\\slash", "\\", "\\n", '\\"', "🙂 gut", "سيئ جدا",
    "a\u200bb", "nul\0in", "\ufeffmark", "line\u2028end", "next\x85line", "unit\x1fend", "e\u0301", "ﬁ", "...", "?!",
    "x" * 3000, "wort " * 2000, "y" * 200_000, "{'a': 1}", '{"a": 1}', "[1, 2]", "train", "text", "label", "ẞ", "İ",
    "\u00ad", "a\tb,c\td", "a;b,c", "-",
]  # fmt: skip
MARKS = "\"',;\t|\\ \n#ab1.é🙂\u200b"
TEXTS = st.sampled_from(WORDS) | st.text(MARKS, min_size=1, max_size=8) | st.text(min_size=1, max_size=8)
LABELS = [
    ("negative", "positive"), ("0", "1"), ("1", "2", "10"), ("a b", "c|d"), ("🙂", "☹"), ("True", "False"), ("-1", "1"),
    ("yes", "no"), ("a,b", "c;d"), ('"a"', "b"), ("text", "label"), ("é", "e"), ("x" * 200, "y"),
]  # fmt: skip
UNCLEAR_LABELS = [
    ("NA", "b"), ("nan", "null"), ("pos", "pos ", "neg"), ("Pos", "pos", "neg"), ("1", "1.0", "2"), ("a", "A"),
    ("1.5", "2.5"), ("9" * 5000, "1"), ("²", "2"), ("1", "true"), ("1", "\u0661", "2"), ("1_000", "1000"), ("=", "-"),
    ("a\u200bb", "ab", "c"), ("\u00adx", "x"), ("inf", "1e999", "1"), ("0x10", "16"), ("#", "a"),
]  # fmt: skip
NUMBERS = ["1.5", "2", "-3e2", "0", "-0.0", "007", "1e-300", "+4"]
NO_NUMBERS = ["", "nan", "inf", "1,5", "one", "1e999", "-"]
SPLITS = ["train", "dev", "validation"]
STRAY = "a stray quotation mark"
VERDICTS: list[Verdict] = ["unknown", "refused", "either", "taken"]  # an earlier one outweighs a later one


def shows_something(text: str) -> bool:
    """Whether a reader of a text sees anything."""
    return any(unicodedata.category(letter)[0] not in "ZC" for letter in text)


@dataclass(frozen=True)
class Row:
    """What stands in a row; None in place of what is missing."""

    texts: tuple[str | None, ...]
    label: str | None
    split: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Written:
    """A data file, and what stands in it."""

    content: bytes
    suffix: str
    rows: tuple[Row, ...]
    spec: dict[str, Any]  # the settings that name its columns
    verdict: Verdict  # whether a reader has to take it
    why: tuple[str, ...] = ()  # the reasons for the verdict
    same: dict[str, str] = field(default_factory=dict)  # other ways to write a text
    bad_row: int | None = None  # the only row that is wrong, from 1
    more: "Written | None" = None  # the file of validation rows
    data: dict[str, Any] = field(default_factory=dict)  # settings of splits and caps

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """What hypothesis shows of it."""
        more = "" if self.more is None else f", validation rows {self.more.content!r}"
        printer.text(f"{self.verdict} {self.why}: {self.content!r} with {self.spec}{more}")

    def saved(self, folder: Path) -> dict[str, Any]:
        """The fields of a task's spec that names the saved files."""
        scheme = self.spec["scheme"]
        named = {name: value for name, value in self.spec.items() if name != "scheme"}
        for name, file in (("source", self), ("validation_source", self.more)):
            if file is not None:
                path = folder / f"{name}{file.suffix}"
                path.write_bytes(file.content)
                named[name] = f"{scheme}:{path}"
        return named


@dataclass
class Table:
    """Cells by column, before they are written, and what was done to them."""

    rows: list[Row]
    names: dict[str, str]  # names of the columns by what they hold: text_a, text_b, label, split, id
    number: bool = False
    labels: list[str] | None = None  # that the settings list
    named: dict[str, str] = field(default_factory=dict)  # labels of the rows by names that the settings give them
    data: dict[str, Any] = field(default_factory=dict)  # settings of splits and caps
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by reason
    bad_rows: set[int] = field(default_factory=set)

    def columns(self) -> dict[str, list[str | None]]:
        """Cells by the columns' names."""
        cells: dict[str, list[str | None]] = {}
        for number, name in enumerate(name for part, name in self.names.items() if part.startswith("text")):
            cells[name] = [row.texts[number] for row in self.rows]
        cells[self.names["label"]] = [row.label for row in self.rows]
        for part in ("split", "id"):
            if part in self.names:
                cells[self.names[part]] = [getattr(row, part) for row in self.rows]
        return cells

    def written(
        self, content: bytes, suffix: str, scheme: str, *, reading: dict[str, str] | None = None, **more: Any
    ) -> Written:
        """The file, once its content is made, with the settings that say how to read it."""
        found = set(self.verdicts.values())
        verdict = next((each for each in VERDICTS if each in found), VERDICTS[-1])
        text = [name for part, name in self.names.items() if part.startswith("text")]
        spec: dict[str, Any] = {"scheme": scheme, "text": text, "label": self.names["label"]}
        spec |= (reading or {}) | ({"labels": self.labels} if self.labels else {})
        spec |= {key: self.names[part] for part, key in (("split", "split_column"), ("id", "id")) if part in self.names}
        if self.number:
            spec |= {"kind": "number", "metrics": ["pearson"]}
        single = len(self.verdicts) == 1 and len(self.bad_rows) == 1
        bad_row = next(iter(self.bad_rows)) if single else None
        about: dict[str, Any] = {"why": tuple(self.verdicts), "bad_row": bad_row, "data": self.data}
        more["same"] = self.named | more.get("same", {})
        return Written(content, suffix, tuple(self.rows), spec, verdict, **about, **more)


def broken(draw: st.DrawFn, table: Table, content: bytes) -> bytes:
    """Seldom: bytes cut off, replaced, inserted or repeated."""
    if not seldom(draw, 12):
        return content
    table.verdicts["broken"] = "unknown"
    place = draw(st.integers(0, len(content)))
    inserted = draw(
        st.sampled_from([b"\0", b'"', b"\xff", b"\n", b"\r", b",", b"\\"]) | st.binary(min_size=1, max_size=4)
    )
    after = draw(st.sampled_from([b"", content[place:], content[place + len(inserted) :], content[place:] * 2]))
    return content[:place] + inserted + after


def packed(draw: st.DrawFn, content: bytes) -> bytes:
    """Seldom: the file compressed."""
    return draw(st.sampled_from(PACKERS))(content) if seldom(draw, 8) else content


def _zipped(content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("folder/rows", content)
    return archive.getvalue()


def _zstandard(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, _zipped, _zstandard, bz2.compress, lzma.compress]


def seldom(draw: st.DrawFn, one_in: int) -> bool:
    """True once in so many times."""
    return draw(st.integers(0, one_in - 1)) == one_in - 1


@st.composite
def tables(draw: st.DrawFn, *, second: bool = False, like: "Table | None" = None) -> Table:
    """Forty rows, of which a few are odd; `like` has columns and labels that a second file shares."""
    number = like.number if like else seldom(draw, 6)
    pair = "text_b" in like.names if like else seldom(draw, 4)
    verdicts: dict[str, Verdict] = {}
    if number:
        labels: Sequence[str] = NUMBERS
    elif like:
        labels = sorted({row.label for row in like.rows if row.label})[:1] or ["a"]
    elif seldom(draw, 10):
        labels, verdicts["labels look alike"] = draw(st.sampled_from(UNCLEAR_LABELS)), "either"
    else:
        labels = draw(st.sampled_from(LABELS))
    splits = draw(st.sampled_from([None, None, ("train", "validation"), tuple(SPLITS)])) if not second else None
    what = "more" if second else "row"
    rows = [
        Row(
            texts=tuple(f"{what} {i} of words{part}" for part in ("", " again")[: 1 + pair]),
            label=labels[i % len(labels)],
            split=None if splits is None else splits[i // len(labels) % len(splits)],
            id=f"{what}-{i}",
        )
        for i in range(40)
    ]
    names = {"text_a": "text", **({"text_b": "other"} if pair else {}), "label": "label"}
    names |= ({"split": "part"} if splits else {}) | ({"id": "id"} if seldom(draw, 4) else {})
    table = Table(rows, names, number, verdicts=verdicts)
    if like:
        return Table(
            rows, {part: name for part, name in like.names.items() if part != "split"}, number, verdicts=verdicts
        )
    _rename(draw, table)
    if not number and not verdicts and seldom(draw, 4):
        table.labels = list(draw(st.permutations(labels)))
        if labels == ("0", "1") and draw(st.booleans()):
            table.labels = ["named nought", "named one"]
            table.named = dict(zip(table.labels, labels, strict=True))
    if seldom(draw, 4):
        caps = {"max_train_rows": 9, "max_dev_rows": 5, "max_validation_rows": 6, "seed": 7, "leave_out_near": True}
        table.data = {name: caps[name] for name in draw(st.lists(st.sampled_from(sorted(caps)), max_size=3))}
    _make_odd(draw, table)
    return table


def _rename(draw: st.DrawFn, table: Table) -> None:
    """Other names of columns."""
    if seldom(draw, 4):
        part = draw(st.sampled_from(sorted(table.names)))
        name = draw(
            st.sampled_from(["Text", "my text", "a,b", 'say "so"', "🙂", "0", "é", "text.1", "two\nlines", " text"])
        )
        if name not in table.names.values():
            table.names[part] = name


def _make_odd(draw: st.DrawFn, table: Table) -> None:
    """Replace a few texts, and perhaps a label, a split, or a whole column."""
    for _ in range(draw(st.integers(0, 4))):
        _replace_text(draw, table, draw(TEXTS))
    if seldom(draw, 8):
        _replace_text(draw, table, draw(st.sampled_from([None, None, "", " ", "\t", "\u200b", "\0", "\u3000", "\n"])))
    if seldom(draw, 8):
        _replace_label(draw, table)
    if "split" in table.names and seldom(draw, 8):
        place = draw(st.integers(0, len(table.rows) - 1))
        split = draw(st.sampled_from([None, "test", "Train", "train ", "1"]))
        table.rows[place] = replace(table.rows[place], split=split)
        table.verdicts["split"] = "refused"
    if seldom(draw, 25):
        _cut(draw, table)
    if seldom(draw, 6):
        _repeat(draw, table)


def _replace_text(draw: st.DrawFn, table: Table, text: str | None) -> None:
    place, part = draw(st.integers(0, len(table.rows) - 1)), draw(st.integers(0, len(table.rows[0].texts) - 1))
    texts = list(table.rows[place].texts)
    texts[part] = text or None
    if not text:
        table.verdicts["no text"] = "refused"
        table.bad_rows.add(place + 1)
    elif not shows_something(text):
        table.verdicts["a text shows nothing"] = "either"
    table.rows[place] = replace(table.rows[place], texts=tuple(texts))


def _replace_label(draw: st.DrawFn, table: Table) -> None:
    place = draw(st.integers(0, len(table.rows) - 1))
    pool = NO_NUMBERS if table.number else ["", None, "\t", "a\x1b[31m", "a\nb", "rare", "only one"]
    label = draw(st.sampled_from(pool)) or None
    table.rows[place] = replace(table.rows[place], label=label)
    if not table.number and label in ("rare", "only one") and not table.labels:
        table.verdicts["a label that occurs once"] = "either"  # it may stand in a validation split only
        return
    table.verdicts["label"] = "refused"
    if table.number or table.labels or label is None:
        table.bad_rows.add(place + 1)


def _cut(draw: st.DrawFn, table: Table) -> None:
    """Few rows, or none."""
    table.rows = table.rows[: draw(st.sampled_from([0, 1, 2, 3, 5]))]
    table.verdicts.clear()
    table.verdicts["few rows"] = "refused" if len(table.rows) < 2 else "either"
    table.bad_rows.clear()


def _repeat(draw: st.DrawFn, table: Table) -> None:
    """Rows a second time, or nearly."""
    if not table.rows:
        return
    change: Callable[[str], str] = draw(
        st.sampled_from([str, str.upper, lambda text: f"{text}!", lambda text: f" {text}"])
    )
    for row in draw(st.lists(st.sampled_from(table.rows), max_size=5)):
        table.rows.append(replace(row, texts=tuple(text and change(text) for text in row.texts)))
        if None in row.texts or row.label is None:
            table.bad_rows.add(len(table.rows))
