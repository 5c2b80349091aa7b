"""CSV files drawn by hypothesis: written cell by cell, in encodings, line ends and quotes of every kind."""

from dataclasses import dataclass

from hypothesis import strategies as st
from tests.unit.fuzzed_files import STRAY, Table, Written, broken, packed, seldom, tables

LINE_ENDS = ["\n", "\n", "\r\n", "\r"]
MARKED = ["utf-8-sig", "utf-16", "utf-32"]  # encodings whose files begin with a byte order mark
ENCODINGS = ["utf-16-le", "utf-16-be", "latin-1", "cp1252", "cp1251", "shift-jis", "gb18030"]
CODECS = [
    "utf-7",
    "unicode_escape",
    "raw_unicode_escape",
    "cp037",
    "utf-16",
    "utf-32-be",
    "big5",
    "hz",
    "ascii",
]


@dataclass
class Form:
    """How a file is written."""

    end: str  # of a line
    separator: str = ","
    quoted: str = "needed"  # which cells are: needed, all, texts
    mixed: bool = False  # whether some lines end otherwise
    last: bool = True  # whether the last line ends
    blank: str | None = None  # a line without cells, written here and there
    encoding: str = "utf-8"
    said: bool = False  # whether the settings name the encoding


def cell(text: str | None, form: Form, *, word: bool = True) -> str:
    """A cell as RFC 4180 writes it."""
    if text is None:
        return '""' if form.quoted == "all" else ""
    needed = any(mark in text for mark in (form.separator, '"', "\r", "\n"))
    if needed or form.quoted == "all" or (form.quoted == "texts" and word):
        return '"' + text.replace('"', '""') + '"'
    return text


@st.composite
def csv_files(draw: st.DrawFn) -> Written:
    """A CSV file, and perhaps a second one with the validation rows."""
    table = draw(tables())
    form, reading = _form(draw, table)
    more = None
    if "split" not in table.names and seldom(draw, 4):
        second = draw(tables(second=True, like=table))
        more = second.written(_encoded(draw, second, _lines(draw, second, form), form), ".csv", "csv")
        table.verdicts |= second.verdicts
    content = packed(draw, broken(draw, table, _encoded(draw, table, _lines(draw, table, form), form)))
    suffix = draw(st.sampled_from([".csv", ".csv", ".tsv", ".txt", ".csv.gz", ""]))
    return table.written(content, suffix, "csv", more=more, reading=reading)


def _form(draw: st.DrawFn, table: Table) -> tuple[Form, dict[str, str]]:
    """How the files are written, and the settings that say so."""
    form = Form(draw(st.sampled_from(LINE_ENDS)), quoted=draw(st.sampled_from(["needed", "needed", "all", "texts"])))
    form.mixed, form.last = seldom(draw, 8), not seldom(draw, 4)
    reading = {}
    if seldom(draw, 6):
        form.blank = draw(st.sampled_from(["", "  ", "\t"]))
    if seldom(draw, 3):
        form.separator = draw(st.sampled_from([";", "\t", "|", "|", " ", "::", "^", "a"]))
        if form.separator not in ";\t|":
            table.verdicts["separator"] = "either"
        if form.separator in (form.blank or ""):
            form.blank = None  # it would be a row
    if seldom(draw, 4) and form.separator not in ("::", "a"):
        reading["delimiter"] = draw(st.sampled_from([form.separator] * 4 + [",", ";"]))
        wrong = reading["delimiter"] != form.separator
        table.verdicts |= {"delimiter": "refused"} if wrong else {}
        table.verdicts.pop("" if wrong else "separator", None)
    if seldom(draw, 4):
        form.encoding = draw(st.sampled_from([*MARKED, *ENCODINGS]))
        form.said = draw(st.booleans())
        reading |= {"encoding": form.encoding} if form.said else {}
    elif seldom(draw, 20):
        reading["encoding"], table.verdicts["any encoding"] = draw(st.sampled_from(CODECS)), "unknown"
    return form, reading


def _lines(draw: st.DrawFn, table: Table, form: Form) -> list[list[str]]:
    """Cells as they are written, the header's first; with more columns and uneven lines."""
    columns: dict[str, list[str | None]] = table.columns()
    order = draw(st.permutations(sorted(columns)))
    lines = [[cell(name, form) for name in order]]
    lines += [[cell(columns[name][i], form) for name in order] for i in range(len(table.rows))]
    if seldom(draw, 3):
        _add_column(draw, table, lines, form, order)
    if seldom(draw, 12) and len(lines) > 1:
        _make_uneven(draw, table, lines)
    elif seldom(draw, 12) and len(lines) > 1:
        _open_quote(draw, table, lines)
    return lines


def _open_quote(draw: st.DrawFn, table: Table, lines: list[list[str]]) -> None:
    """A quotation mark that no writer meant, and perhaps a second one: the lines between them become one cell."""
    first, last = sorted(draw(st.lists(st.integers(1, len(lines) - 1), min_size=2, max_size=2)))
    column = draw(st.integers(0, len(lines[0]) - 1))
    if '"' in lines[first][column] + lines[last][column]:
        return
    lines[first][column] = '"' + lines[first][column]
    lines[last][column] += draw(st.sampled_from(['"', ""]))
    table.verdicts[STRAY] = "either"


def _add_column(draw: st.DrawFn, table: Table, lines: list[list[str]], form: Form, order: list[str]) -> None:
    """One more column anywhere, under any name or none."""
    name = draw(st.sampled_from(["", "", "number", "Unnamed: 0", "index", "more", "\ufeff", "0", *order]))
    if name in order:
        table.verdicts["two columns of one name"] = "refused"
    kind = draw(st.sampled_from(["numbers", "nothing", "texts"]))
    place = draw(st.integers(0, len(lines[0])))
    for number, line in enumerate(lines):
        value = name if number == 0 else {"numbers": str(number), "nothing": None, "texts": f'x, "{number}"'}[kind]
        line.insert(place, cell(value or None, form, word=kind == "texts"))


def _make_uneven(draw: st.DrawFn, table: Table, lines: list[list[str]]) -> None:
    """A line with a cell too many or too few."""
    line = lines[draw(st.integers(1, len(lines) - 1))]
    if draw(st.booleans()):
        line.append(draw(st.sampled_from(["", "more"])))
    else:
        line.pop()
    table.verdicts["uneven"] = "either"


def _encoded(draw: st.DrawFn, table: Table, lines: list[list[str]], form: Form) -> bytes:
    ends = [form.end] * len(lines)
    if form.mixed:
        ends = draw(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=len(lines), max_size=len(lines)))
    written = [form.separator.join(line) + end for line, end in zip(lines, ends, strict=True)]
    if not form.last:
        written[-1] = written[-1].removesuffix(ends[-1])
    if form.blank is not None and form.last:
        for place in draw(st.lists(st.integers(1, len(written)), min_size=1, max_size=3)):
            written.insert(place, form.blank + form.end)
    text = "".join(written)
    try:
        content = text.encode(form.encoding)
    except UnicodeEncodeError:
        table.verdicts |= {"encoding": "unknown"} if form.said else {}
        return text.encode()
    if form.encoding in ENCODINGS and not form.said and content != text.encode():
        table.verdicts["encoding"] = "refused"
    return content
