"""Random models of three families, and data sets of random words, in the documented formats."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertTokenizerFast,
    DistilBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from distilgrid.core.artefacts import write_json, writing
from distilgrid.models.io import save_model
from distilgrid.tasks.batching import encode
from distilgrid.tasks.dataset import Dataset, example_ids, open_dataset, texts
from distilgrid.tasks.kind import score
from distilgrid.training.predictor import predict

WORDS = [f"word{i}" for i in range(40)]
VOCABULARY = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
SIZES: dict[str, Any] = {"vocab_size": len(VOCABULARY), "num_labels": 3}
CONFIGS: dict[str, Callable[..., Any]] = {
    "bert": lambda **more: BertConfig(
        **SIZES, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, **more
    ),
    "distilbert": lambda **more: DistilBertConfig(**SIZES, dim=32, n_layers=2, n_heads=4, hidden_dim=64, **more),
    "roberta": lambda **more: RobertaConfig(
        **SIZES,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        pad_token_id=0,
        max_position_embeddings=66,
        **more,
    ),
}


def write_dataset(folder: Path, *, kind: str = "label") -> Dataset:
    """A prepared data set of random words, in the documented format, with two validation splits."""
    generator = np.random.default_rng(0)
    metrics = ["pearson", "spearman"] if kind == "number" else ["accuracy"]
    splits = {"train": 8, "dev": 8, "validation": 60, "validation_other": 20}
    with writing(
        folder, recipe={"stage": "prepare", "kind": kind, "data": {"seed": 0}}, labels={"task": "words"}
    ) as scratch:
        for split, rows in splits.items():
            lines = [" ".join(generator.choice(WORDS, size=generator.integers(1, 25))) for _ in range(rows)]
            label = generator.normal(size=rows) if kind == "number" else generator.integers(3, size=rows)
            frame = pd.DataFrame({"text_a": lines, "label": label, "example_id": example_ids([lines])})
            frame.to_parquet(scratch / f"{split}.parquet", index=False)
        document = {
            "task": "words",
            "labels": [] if kind == "number" else ["a", "b", "c"],
            "kind": kind,
            "metrics": metrics,
            "validation": ["validation", "validation_other"],
            "notes": [],
            "splits": {split: {"rows": rows, "pair": False, "label_counts": {}} for split, rows in splits.items()},
        }
        write_json(scratch / "dataset.json", document)
    return open_dataset(folder)


def write_model(folder: Path, dataset: Dataset, kind: str = "bert") -> Path:
    """A random model with the files of a trained one, in the documented format."""
    torch.manual_seed(1)
    config = CONFIGS[kind](**({"initializer_range": 0.3} if kind == "bert" else {}))
    config.num_labels = dataset.outputs
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    tokenizer = BertTokenizerFast(vocab=VOCABULARY)
    if kind != "bert":  # these models have no segments
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer.backend_tokenizer,
            pad_token="[PAD]",
            model_input_names=["input_ids", "attention_mask"],
        )
    recipe = {"stage": "finetune", "kind": kind, "training": {"max_length": 32}, "inputs": {"data": dataset.key}}
    labels = {"task": "words", "teacher": kind, "method": "teacher", "student": kind, "seed": 0}
    with writing(folder, recipe=recipe, labels=labels) as scratch:
        save_model(model, tokenizer, scratch)
        parts, validation = [], {}
        for split in dataset.validation:
            frame = dataset.split(split)
            logits = predict(model, encode(tokenizer, *texts(frame), max_length=32), kind=dataset.task_kind)
            part = pd.DataFrame({"split": split, "example_id": frame["example_id"], "label": frame["label"]})
            parts.append(part.assign(logits=list(logits)))
            validation[split] = score(
                dataset.task_kind, dataset.metrics, labels=frame["label"].to_numpy(), outputs=logits
            )
        pd.concat(parts, ignore_index=True).to_parquet(scratch / "predictions.parquet", index=False)
        name = dataset.metrics[0]
        size = (scratch / "model.safetensors").stat().st_size
        metrics = {"score": validation["validation"][name], "score_name": name, "parameters": 1, "size_bytes": size}
        write_json(scratch / "metrics.json", metrics)
    return folder
