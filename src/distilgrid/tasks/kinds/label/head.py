"""The head of a classifier."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distilgrid.tasks.kind_parts import Head

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class LabelHead(Head):
    """Logits of each label."""

    def describe(self, config: "PretrainedConfig", labels: Sequence[str]) -> None:
        """Name the labels."""
        config.problem_type = "single_label_classification"
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}


HEAD = LabelHead()
