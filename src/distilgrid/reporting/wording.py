"""Notation of numbers and names in tables, plots and sentences."""

from collections.abc import Iterable

from distilgrid.core import words

plural = words.plural

SURE = "*"
"""Follows a difference that stays clear among all comparisons of its report."""
INTERVALS = (
    "Intervals and p-values cover seeds and validation rows together (Student's t), paired by seed where models share "
    "streams of random numbers and at least three seeds or all, else unpaired"
)
"""The estimator of `intervals`, in every caption of a table with intervals."""
COVERED = {
    "seeds": "those of numbers that are no means over validation rows, such as losses and gaps, cover seeds only",
    "measuring": "those of latencies cover the error of measuring, and have no p-value",
}
"""Claims whose intervals cover something else, by what they cover."""
SEARCHES = "searches are not paired, as equal seeds of two controllers share nothing"
ONE_LOOK = "judge all seeds as if there were one look"
"""What does not heed that seeds were added where earlier ones left a claim undecided."""
ONE_SEED = "one seed, so no interval over seeds exists and none is shown"
MARKED = "Marked scores: the best student on dev, which need not be the highest here"
"""The meaning of a marked score, in every caption of a table that marks scores."""
CONSTANT = "constant"
"""Marks models that answer the same for every row."""
CONSTANT_MODELS = "Constant: models that answer the same for every row; they learned nothing."
MINUS, PLUS_MINUS, TIMES, DASH, DOT, NO_BREAK = "\u2212", "\u00b1", "\u00d7", "\u2013", "\u00b7", "\u00a0"


def claim_intervals(covers: Iterable[str]) -> str:
    """The estimators of a table of claims, given what the intervals of its effects cover."""
    found = set(covers)
    return "; ".join([INTERVALS, *(said for name, said in COVERED.items() if name in found), SEARCHES]) + "."


def loss(value: float) -> str:
    """A loss, or a difference of two, with three decimals."""
    return f"{value:z.3f}".replace("-", MINUS)


def digits(value: float, sign: str = "") -> str:
    """A number in any unit with three digits. A `sign` of "+" also shows that of positive numbers."""
    return f"{value:{sign}.3g}".replace("-", MINUS)


def plain_bounds(low: float, high: float) -> str:
    """An interval in any unit, with three digits."""
    return f"[{digits(low)},{NO_BREAK}{digits(high)}]"


def percent(share: float) -> str:
    """A share of 1 in per cent, with one decimal."""
    return f"{100 * share:.1f} %"


def level(confidence: float) -> str:
    """The confidence level of an interval."""
    return f"{100 * confidence:g} %"


def milliseconds(value: float) -> str:
    """A latency with three digits."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def duration(seconds: float) -> str:
    """A time: 12.0 s, 3.4 min, 2.1 h."""
    unit, size = next(((name, size) for name, size in (("s", 1), ("min", 60)) if seconds < 100 * size), ("h", 3600))
    return f"{seconds / size:,.1f} {unit}"


def times(factor: float, *, against: str) -> str:
    """A ratio with what it is against: 1.9x the teacher. Nothing is said where a title next to it says it."""
    shown = f"{factor:.0f}{TIMES}" if factor >= 100 else f"{factor:.1f}{TIMES}"
    return f"{shown} {against}".rstrip()


def count(value: float) -> str:
    """A number of parameters: 22.7 M."""
    return _scaled(value, ((1e9, "G"), (1e6, "M"), (1e3, "k")))


def size(value: float) -> str:
    """A number of bytes: 90.9 MB (millions)."""
    return _scaled(value, ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")))


def seeds(fewest: int, most: int) -> str:
    """Numbers of seeds: "5 seeds", or "5 to 12 seeds"."""
    return plural(most, "seed") if fewest == most else f"{fewest} to {most} seeds"


def sentence(words: str) -> str:
    """Words that begin a sentence."""
    return words[0].upper() + words[1:]


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    for factor, unit in units:
        if value >= factor:
            scaled = value / factor
            return f"{scaled:.0f} {unit}" if scaled >= 100 or factor == 1 else f"{scaled:.1f} {unit}"
    return f"{value:g}"
