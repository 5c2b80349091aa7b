"""What one process of a side-by-side benchmark is asked to do, as a JSON file. Light: read by every framework.

The base model, all-MiniLM-L6-v2, was tuned on a billion pairs of sentences, among them MultiNLI, QQP and SQuAD.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

LABELS = 2  # of every task here


@dataclass(frozen=True)
class Work:
    """One training run.

    Attributes:
        framework: dotted name of the module that trains.
        options: what sets this contender apart from others of the framework.
        model: `minilm`, from `folder`, or `bert-base`, of that shape with random weights.
        folder: of the pretrained model and its tokeniser; empty when neither is needed.
        rows: file of a `Sample` to train on.
        warmup: file of a `Sample` to train another copy of the model on first; empty for none.
        scratch: folder for a framework's files.
        save: folder for the trained model; empty keeps none.
        device: `cpu` or `cuda`.
        seed: of the head's weights, shuffling and dropout.
        threads: of every framework.
    """

    framework: str
    options: dict[str, Any]
    model: str
    folder: str
    rows: str
    scratch: str
    warmup: str = ""
    save: str = ""
    device: str = "cpu"
    seed: int = 0
    threads: int = 1
    epochs: int = 1
    batch_size: int = 32
    max_length: int = 128
    learning_rate: float = 5e-5
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    def with_one_epoch(self) -> "Work":
        """The same for a warm-up."""
        return replace(self, epochs=1)

    def write(self, path: Path) -> None:
        """Save as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Work":
        """What `write` saved."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
