"""Parquet files drawn by hypothesis: a column of any type, in files of any form."""

import datetime as dt
import decimal
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from tests.unit.fuzzed_files import Table, Written, broken, seldom, tables

START = dt.datetime(2020, 2, 28, 23, 59, 59)


@dataclass(frozen=True)
class Column:
    """Values of a type that holds no texts, and how people write them."""

    kind: pa.DataType
    value: Callable[[int], Any]  # of a row
    ways: Callable[[Any], Sequence[str]] = lambda value: [str(value)]  # to write it; none for what is no text


def _decimal(places: int) -> Callable[[int], decimal.Decimal]:
    return lambda i: decimal.Decimal(i * 7 - 30).scaleb(-places)


def _time(i: int) -> dt.time:
    return dt.time(i % 24, i, 59)


def _moment(i: int) -> dt.datetime:
    return START + dt.timedelta(days=i, seconds=i)


def _moments(value: dt.datetime) -> Sequence[str]:
    return [str(value), f"{value}+00:00"]


def _no_text(_: object) -> Sequence[str]:
    return []


def _as_numbers(value: object) -> Sequence[str]:
    return [str(float(value))] if isinstance(value, bool | int | float | decimal.Decimal) else []


def _lengths(value: dt.timedelta) -> Sequence[str]:
    return [str(value), f"{value.days} days {str(dt.timedelta(seconds=value.seconds)).rjust(8, '0')}"]


def _dates(value: dt.date) -> Sequence[str]:
    return [str(value), f"{value} 00:00:00"]


COLUMNS = {
    "int8": Column(pa.int8(), lambda i: i - 20),
    "int64": Column(pa.int64(), lambda i: 2**62 + i),
    "uint64": Column(pa.uint64(), lambda i: 2**64 - 1 - i),
    "float32": Column(pa.float32(), lambda i: i / 4 - 3),
    "float64": Column(pa.float64(), lambda i: i / 10 + 1e22),
    "halves": Column(pa.float16(), lambda i: i / 2),
    "bool": Column(pa.bool_(), lambda i: i % 2 == 0),
    "decimal": Column(pa.decimal128(12, 2), _decimal(2), lambda value: [f"{value:.2f}"]),
    "wide decimal": Column(pa.decimal256(60, 5), _decimal(5), lambda value: [f"{value:.5f}"]),
    "date": Column(pa.date32(), lambda i: START.date() + dt.timedelta(days=i)),
    "old date": Column(pa.date32(), lambda i: dt.date(1 + i, 1, 1)),
    "date64": Column(pa.date64(), lambda i: START.date() + dt.timedelta(days=i), _dates),
    "seconds": Column(pa.timestamp("s"), _moment, _moments),
    "nanoseconds": Column(pa.timestamp("ns"), _moment, _moments),
    "far years": Column(pa.timestamp("us"), lambda i: dt.datetime(9999 - i, 1, 1, 1), _moments),
    "zone": Column(pa.timestamp("us", "UTC"), _moment, _moments),
    "time": Column(pa.time32("s"), _time),
    "duration": Column(pa.duration("s"), lambda i: dt.timedelta(days=i, seconds=i), _lengths),
    "bytes": Column(pa.binary(), lambda i: b"text %d" % i, _no_text),
    "large bytes": Column(pa.large_binary(), lambda i: b"\xff %d" % i, _no_text),
    "fixed bytes": Column(pa.binary(4), lambda i: b"%04d" % i, _no_text),
    "list": Column(pa.list_(pa.string()), lambda i: [f"text {i}", "more"], _no_text),
    "fixed list": Column(pa.list_(pa.int8(), 2), lambda i: [i, 1], _no_text),
    "lists of lists": Column(pa.list_(pa.list_(pa.int64())), lambda i: [[i], []], _no_text),
    "struct": Column(pa.struct([("bytes", pa.binary())]), lambda i: {"bytes": b"%d" % i}, _no_text),
    "map": Column(pa.map_(pa.string(), pa.int64()), lambda i: [(f"text {i}", i)], _no_text),
    "nothing": Column(pa.null(), lambda i: None),
}  # fmt: skip
ENCODED = {
    "int8",
    "int64",
    "uint64",
    "float64",
    "bool",
    "date",
    "seconds",
    "decimal",
    "bytes",
}  # at times, as dictionaries
TEXT_TYPES = {
    "string": pa.string(),
    "large": pa.large_string(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "small dictionary": pa.dictionary(pa.int8(), pa.string()),
    "view": pa.string_view(),
}
CODECS = ["snappy", "zstd", "gzip", "brotli", "lz4", "none"]


@st.composite
def parquet_files(draw: st.DrawFn) -> Written:
    """A parquet file, and perhaps a second one with the validation rows."""
    table, same = draw(tables()), {}
    columns: dict[str, pa.Array] = {name: _texts(draw, table, cells) for name, cells in table.columns().items()}
    if seldom(draw, 2) and table.rows:
        same = _other_type(draw, table, columns)
    if seldom(draw, 6):
        _not_utf8(draw, table, columns)
    more = None
    if "split" not in table.names and seldom(draw, 4) and table.verdicts.get("type") is None:
        second = draw(tables(second=True, like=table))
        cells = {name: _texts(draw, second, values) for name, values in second.columns().items()}
        more = second.written(_bytes(draw, second, cells), ".parquet", "parquet")
        table.verdicts |= second.verdicts
    content = broken(draw, table, _bytes(draw, table, columns))
    return table.written(content, ".parquet", "parquet", same=same, more=more)


def _texts(draw: st.DrawFn, table: Table, cells: list[str | None]) -> pa.Array:
    """Cells of one of the types for texts, with missing ones as null or as empty texts."""
    kind = TEXT_TYPES[draw(st.sampled_from(sorted(TEXT_TYPES)))]
    empty = draw(st.sampled_from([None, ""]))
    values = [empty if cell is None else cell for cell in cells]
    made = pa.array(values, pa.string())
    return made.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else made.cast(kind)


def _other_type(draw: st.DrawFn, table: Table, columns: dict[str, pa.Array]) -> dict[str, str]:
    """Replace a column by values of another type; returns other ways to write them."""
    part = draw(st.sampled_from(sorted(table.names)))
    name = draw(st.sampled_from(sorted(COLUMNS)))
    column, place = COLUMNS[name], table.names[part]
    numbers = range(len(table.rows)) if part != "label" else [i % 3 for i in range(len(table.rows))]
    values = [column.value(i) for i in numbers]
    ways = _as_numbers if table.number and part == "label" else column.ways
    written = [None if value is None else ways(value) for value in values]
    empty = draw(st.sampled_from([None, None, None, 0, len(values) - 1]))
    if empty is not None:
        values[empty] = written[empty] = None
    columns[place] = pa.array(values, column.kind)
    if name in ENCODED and seldom(draw, 3):
        columns[place] = columns[place].dictionary_encode()
    if [] in written or part == "split":
        table.verdicts["type"] = "refused"
        return {}
    if part == "label" and table.labels:
        table.verdicts["labels"] = (
            "refused" if not set(table.labels) >= {ways[0] for ways in filter(None, written)} else "either"
        )
    table.verdicts.pop({"label": "label", "id": ""}.get(part, "no text"), None)
    table.verdicts[f"type {name}"] = "refused" if None in written else "either"
    table.bad_rows.clear()
    for i, spellings in enumerate(written):
        said = spellings[0] if spellings else None
        row = table.rows[i]
        if part in ("label", "id"):
            table.rows[i] = replace(row, **{part: said})
        else:
            texts = tuple(
                said if own == part else text for own, text in zip(("text_a", "text_b"), row.texts, strict=False)
            )
            table.rows[i] = replace(row, texts=texts)
    return {other: first for first, *others in filter(None, written) for other in others}


def _not_utf8(draw: st.DrawFn, table: Table, columns: dict[str, pa.Array]) -> None:
    """Bytes in a column of texts that are no UTF-8, as some writers leave them."""
    name = draw(st.sampled_from(sorted(columns)))
    column = columns[name]
    if not (pa.types.is_string(column.type) and len(column)):
        return
    values = [None if value is None else value.encode() for value in column.to_pylist()]
    values[draw(st.integers(0, len(values) - 1))] = draw(
        st.sampled_from([b"caf\xe9", b"\xed\xa0\x80", b"\xff\xfe", b"\xc3"])
    )
    columns[name] = pa.array(values, pa.binary()).view(pa.string())
    if draw(st.booleans()):
        columns[name] = columns[name].dictionary_encode()
    table.verdicts["not UTF-8"] = "refused"


def _of_pandas(draw: st.DrawFn, made: pa.Table) -> pa.Table:
    """The table as pandas stores it: with columns as the index, filtered, its columns named, as other types."""
    if len(set(made.column_names)) < len(made.column_names):
        return made
    change = draw(st.sampled_from(["index", "two indices", "filtered", "named", "numpy types", "masked types"]))
    frame = made.to_pandas(ignore_metadata=True)
    try:
        if "ind" in change:
            frame = frame.set_index(list(made.column_names[: 1 + (change == "two indices")]))
        elif change == "filtered":
            frame.index = [3 * i + 5 for i in range(len(frame))]
        elif change == "named":
            frame.columns.name = "columns"
        elif change == "masked types":
            frame = frame.convert_dtypes(convert_integer=False)
        return pa.Table.from_pandas(frame)
    except (TypeError, ValueError, pa.ArrowException):  # what pandas cannot have so
        return made


def _bytes(draw: st.DrawFn, table: Table, columns: dict[str, pa.Array]) -> bytes:
    """A file of some columns, in an order, with others next to them."""
    order = draw(st.permutations(sorted(columns)))
    arrays, names = [columns[name] for name in order], list(order)
    if seldom(draw, 3):
        extra = COLUMNS[draw(st.sampled_from(sorted(COLUMNS)))]
        arrays.append(pa.array([extra.value(i % 60) for i in range(len(table.rows))], extra.kind))
        names.append(draw(st.sampled_from(["", "id", "__index_level_0__", "more", *order])))
        if names[-1] in order:
            table.verdicts["two columns of one name"] = "refused"
    made = pa.Table.from_arrays(arrays, names=names)
    if seldom(draw, 5):
        made = made.replace_schema_metadata(
            {"pandas": draw(st.sampled_from(["{}", "no json", "null", "[]"])), "huggingface": "{}"}
        )
    elif seldom(draw, 5) and made.num_rows and "not UTF-8" not in table.verdicts:
        made = _of_pandas(draw, made)
    held = io.BytesIO()
    pq.write_table(
        made,
        held,
        compression=draw(st.sampled_from(CODECS)),
        row_group_size=draw(st.sampled_from([None, 1, 7])),
        use_dictionary=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        store_schema=draw(st.booleans()) or any(pa.types.is_duration(array.type) for array in arrays),
        version=draw(st.sampled_from(["1.0", "2.4", "2.6"])),
    )
    return held.getvalue()
