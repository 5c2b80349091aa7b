"""Tables, with their renderings as GitHub Markdown and LaTeX. The page renders the same tables as HTML."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distilgrid.core.markdown import plain
from distilgrid.reporting import wording

LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    wording.MINUS: "$-$",
    wording.PLUS_MINUS: r"$\pm$",
    wording.TIMES: r"$\times$",
    wording.DASH: "--",
    wording.DOT: r"$\cdot$",
    wording.NO_BREAK: "~",
}
ESCAPED = str.maketrans(LATEX)


@dataclass(frozen=True)
class Value:
    """A value at a row and a column, with small print after it. The tone is `better`, `worse` or nothing."""

    text: str
    note: str = ""
    best: bool = False
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """A column: its title, the small print under it, and whether it holds numbers."""

    title: str
    note: str = ""
    number: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of values."""

    name: str  # the subject, in most cases the task
    caption: str  # sentences about the numbers
    columns: list[Column]  # from left to right
    rows: list[list[Value]]  # one value for each column
    groups: set[int] = field(default_factory=set)  # row numbers where a group begins
    # the page's anchor for the provenance of a row, by row number
    links: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, caption: str, columns: Mapping[Column, list[Value]], **more: Any) -> "Table":
        """A table given by columns."""
        return cls(name, caption, list(columns), [list(row) for row in zip(*columns.values(), strict=True)], **more)


def markdown(tables: Iterable[Table]) -> str:
    """GitHub tables, each below its name and caption."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    head = [column.title + (f" ({column.note})" if column.note else "") for column in table.columns]
    rule = ["---:" if column.number else ":---" for column in table.columns]
    body = [[_markdown_value(value) for value in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in ([plain(title) for title in head], rule, *body)]
    return "\n".join([f"### {plain(table.name)}", "", plain(table.caption), "", *lines, ""])


def _markdown_value(value: Value) -> str:
    text = plain(value.text)
    return (f"**{text}**" if value.best else text) + (f" ({plain(value.note)})" if value.note else "")


def latex(tables: list[Table]) -> str:
    """One `table` environment for each table. The document needs the package booktabs."""
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    alignment = "".join("r" if column.number else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{f'{table.name}: {table.caption}'.translate(ESCAPED)}}}",
        rf"\makebox[\linewidth][c]{{\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",  # may reach into the margins
        r"\toprule",
        _latex_row([column.title.translate(ESCAPED) for column in table.columns]),
        _latex_row([column.note.translate(ESCAPED) for column in table.columns]),
        r"\midrule",
    ]
    for number, row in enumerate(table.rows):
        lines += [r"\addlinespace"] if number in table.groups and number else []
        lines.append(_latex_row([_latex_value(value) for value in row]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""])


def _latex_row(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _latex_value(value: Value) -> str:
    text = f"{value.text} {value.note}".rstrip(" ").translate(ESCAPED)
    return rf"\textbf{{{text}}}" if value.best else text
