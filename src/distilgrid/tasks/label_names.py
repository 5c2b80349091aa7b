"""Labels of files: what names a label, and columns that hold what is hardly a label. Imported on use."""

import contextlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UNPRINTABLE, UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MISSING = frozenset(
    (
        *("NULL", "NaN", "NaT", "None", "nan", "null", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A"),
        *("-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    )
)
"""What other programs write for a missing value: those that pandas reads as one."""
WHOLE = re.compile(r"\s*([+-]?\d{1,999})(?:\.0*)?\s*")  # Python reads no number of thousands of digits
KEEP = "list all labels under the task's labels to keep them"
FEW_ROWS = 20  # below it, labels that occur once say little


def natural(label: str) -> tuple[int, float, str]:
    """A sort key: numbers by value, then words."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (0, number, label) if math.isfinite(number) else (1, 0.0, label)


def spelling(label: str) -> "str | Decimal":
    """What labels that look alike share: numbers their value, words all but case, space and marks without width."""
    if not natural(label)[0]:
        with contextlib.suppress(ArithmeticError):  # an exponent of twenty digits
            return Decimal(label)
    shown = (char for char in unicodedata.normalize("NFKC", label) if unicodedata.category(char) != "Cf")
    return " ".join("".join(shown).casefold().split())


def found_labels(column: "pd.Series[Any]", place: str) -> list[str]:
    """The labels of a column that misses no values, in order. Raises UserError for labels that are hardly meant."""
    truths = [isinstance(value, bool) for value in column]
    if any(truths) and not all(truths):  # a 1 and a true of JSON lines
        row, value = column.index[truths.index(True)] + 1, column.iloc[truths.index(True)]
        raise UserError(f"{place}: row {row}: label '{value}' is a truth value, and others are not; make them one")
    counts = Counter(map(str, column))
    found = sorted(counts, key=natural)
    odd = next((label for label in found if UNPRINTABLE.search(label)), None)
    if odd is not None:  # `a` and `a` with a control character behind it look alike in tables
        raise UserError(f"{place}: label '{odd}' holds a control character; rename it")
    _check_missing(column, counts, place)
    _check_spellings(column, counts, place)
    if len(found) > 2:
        _check_repeated(counts, place)
    if all(not natural(label)[0] for label in found):
        decimal = next((label for label in found if not re.fullmatch(r"\s*[+-]?\d+\s*", label)), None)
        if decimal is not None:
            wanted = f"write kind: number for a regression, or {KEEP}"
            raise UserError(f"{place} holds numbers with decimals, such as '{decimal}'; {wanted}")
    return found


def _check_missing(column: "pd.Series[Any]", counts: Counter[str], place: str) -> None:
    label = next((label for label in counts if label.strip() in MISSING), None)
    if label is not None:
        said = f"row {_first(column, label)}: label '{label}' ({counts[label]:,} row(s)) looks like a missing value"
        raise UserError(f"{place}: {said}; fill or remove it, or {KEEP}")


def _check_spellings(column: "pd.Series[Any]", counts: Counter[str], place: str) -> None:
    owners: dict[str | Decimal, str] = {}
    for label in sorted(counts, key=lambda label: -counts[label]):
        first = owners.setdefault(spelling(label), label)
        if first != label:
            said = f"row {_first(column, label)}: label '{label}' ({counts[label]:,} row(s)) looks like '{first}'"
            raise UserError(f"{place}: {said} ({counts[first]:,} row(s)); make them one, or {KEEP}")


def _check_repeated(counts: Counter[str], place: str) -> None:
    rows, once = counts.total(), sum(count == 1 for count in counts.values())
    if once == rows:
        raise UserError(f"{place}: each label occurs once ({rows:,} rows): is this the label column? If so, {KEEP}")
    if rows >= FEW_ROWS and once > rows / 2:
        said = f"{once:,} of {rows:,} rows hold a label that occurs once"
        raise UserError(f"{place}: {said}: is this the label column? If so, {KEEP}")


def _first(column: "pd.Series[Any]", label: str) -> int:
    """The first row with a label, from 1."""
    return int(column.index[[str(value) for value in column].index(label)]) + 1


def label_numbers(column: "pd.Series[Any]", labels: Sequence[str], origin: str) -> "np.ndarray":
    """Label numbers (N,) of values: by name, or a whole number by its value.

    Where all labels are words, whole numbers index them from 0, as in GLUE. Raises UserError with the first row whose
    label is outside the set.
    """
    import numpy as np
    import pandas as pd

    places, values = pd.factorize(np.array([str(value) for value in column], dtype=object))
    known = {label: number for number, label in enumerate(labels)}
    whole = {value: int(found[1]) for value in values if (found := WHOLE.fullmatch(value))}
    if all(natural(label)[0] for label in labels):
        by_value = {number: number for number in range(len(labels))} if len(whole) == len(values) else {}
    else:
        by_value = {int(found[1]): known[label] for label in labels if (found := WHOLE.fullmatch(label))}
    numbers = [known.get(value, by_value.get(whole[value], -1) if value in whole else -1) for value in values]
    codes = np.array(numbers, dtype=np.int64)[places]
    bad = np.flatnonzero(codes < 0)
    if len(bad):
        row, value = int(column.index[bad[0]]) + 1, str(column.iloc[bad[0]])
        shown = ", ".join(labels[:12]) + (", ..." if len(labels) > 12 else "")
        like = next((f"; it looks like '{label}'" for label in labels if spelling(label) == spelling(value)), "")
        said = f"row {row}: label '{value}' is outside the set ({shown}){like}"
        raise UserError(f"{origin}: {said}; correct it or set the task's labels")
    return codes
