"""How decided layers can be completed within a limit on parameters, without listing the ways. Light: no torch here."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, product

from distilgrid.search.architecture import encoder_layer_parameters


def projection_parameters(before: int | None, hidden: int) -> int:
    """Parameters of what joins two widths: a linear layer where they differ, nothing before the first layer."""
    return 0 if before in (None, hidden) else (before or 0) * hidden + hidden


Sums = dict[int | None, Counter[int]]
"""By a width (None: there is none), numbers of stacks by their parameters."""


class Completions:
    """The layers that may follow others, when each has a width and a feed-forward width from lists.

    Tables of the smallest and of the largest completion answer what is possible; counting goes through sums of
    parameters, not through architectures.

    Args:
        hidden: widths, at least one.
        feed_forward: feed-forward widths, at least one.
        layers: the most that follow.
        limit: most parameters of all layers together.
    """

    def __init__(self, hidden: Sequence[int], feed_forward: Sequence[int], *, layers: int, limit: float) -> None:
        self.hidden, self.feed_forward, self._limit = tuple(hidden), tuple(feed_forward), limit
        self._least = self._extremes(layers, smallest=True)
        self._most = self._extremes(layers, smallest=False)

    def least(self, before: int | None, layers: int) -> int:
        """Fewest parameters of this many layers after one of the width `before`, or at the start."""
        return self._least[layers][before]

    def fits(self, used: int, before: int | None, layers: int) -> bool:
        """Whether this many layers can follow when so many parameters are used."""
        return used + self.least(before, layers) <= self._limit

    def count(self, layers: int) -> int:
        """How many stacks of this many layers keep to the limit: sums of one half against those of the other."""
        if self._most[layers][None] <= self._limit:
            return (len(self.hidden) * len(self.feed_forward)) ** layers
        if not self.fits(0, None, layers):
            return 0
        counted, tails = 0, self._tails(layers - layers // 2)
        for last, heads in self._heads(layers // 2).items():
            sums = sorted(tails[last])
            ways = [0, *accumulate(tails[last][total] for total in sums)]
            counted += sum(count * ways[bisect_right(sums, self._limit - used)] for used, count in heads.items())
        return counted

    def _heads(self, layers: int) -> Sums:
        """By the width of the last of the first layers, how often each sum of their parameters comes up."""
        found: Sums = {None: Counter({0: 1})}
        for _ in range(layers):
            longer: Sums = {}
            for hidden in self.hidden:
                arrived: Counter[int] = Counter()
                for before, sums in found.items():
                    arrived.update(_shifted(sums, projection_parameters(before, hidden)))
                longer[hidden] = self._with_layer(arrived, hidden)
            found = longer
        return found

    def _tails(self, layers: int) -> Sums:
        """By the width before the last layers, how often each sum of their parameters comes up."""
        befores = (None, *self.hidden)
        found: Sums = {before: Counter({0: 1}) for before in befores}
        for _ in range(layers):
            own = {hidden: self._with_layer(found[hidden], hidden) for hidden in self.hidden}
            found = {before: Counter() for before in befores}
            for before, hidden in product(befores, self.hidden):
                found[before].update(_shifted(own[hidden], projection_parameters(before, hidden)))
        return found

    def _with_layer(self, sums: Counter[int], hidden: int) -> Counter[int]:
        """Sums of parameters with one more layer of this width, of any feed-forward width."""
        longer: Counter[int] = Counter()
        for feed_forward in self.feed_forward:
            longer.update(_shifted(sums, encoder_layer_parameters(hidden, feed_forward)))
        return longer

    def _extremes(self, layers: int, *, smallest: bool) -> list[dict[int | None, int]]:
        """By the number of layers that follow and the width before them, their fewest or most parameters."""
        choose = min if smallest else max
        ends: tuple[int | None, ...] = (None, *self.hidden)
        table: list[dict[int | None, int]] = [dict.fromkeys(ends, 0)]
        feed_forward = choose(self.feed_forward)
        own = {hidden: encoder_layer_parameters(hidden, feed_forward) for hidden in self.hidden}
        for _ in range(layers):
            rest = table[-1]
            ways = {
                before: [projection_parameters(before, hidden) + own[hidden] + rest[hidden] for hidden in self.hidden]
                for before in ends
            }
            table.append({before: choose(sums) for before, sums in ways.items()})
        return table


def _shifted(sums: Counter[int], by: int) -> dict[int, int]:
    return {total + by: count for total, count in sums.items()}
