"""The models of the compared frameworks, as a user of transformers loads them."""

from typing import TYPE_CHECKING

import torch
from sidebyside.work import LABELS, Work
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, DataCollatorWithPadding

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_model(work: Work) -> "PreTrainedModel":
    """The pretrained model in fp32, or one of BERT-base's shape."""
    model: PreTrainedModel
    if work.model == "bert-base":
        model = AutoModelForSequenceClassification.from_config(BertConfig(num_labels=LABELS))
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            work.folder, num_labels=LABELS, dtype=torch.float32, local_files_only=True
        )
    return model


def padding_collator(work: Work) -> DataCollatorWithPadding:
    """Pads each batch to its longest row."""
    return DataCollatorWithPadding(AutoTokenizer.from_pretrained(work.folder, local_files_only=True))
