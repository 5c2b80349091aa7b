"""The head of a regression."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distilgrid.tasks.kind_parts import Head

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class NumberHead(Head):
    """One real number."""

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Say that the output is a number."""
        config.problem_type = "regression"


HEAD = NumberHead()
