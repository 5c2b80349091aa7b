"""Scores of Hugging Face's Trainer and of DistilGrid, from the final weights of fine-tuning with the same settings.

    pip install -r benchmarks/peers/requirements.txt        # into a separate environment
    python benchmarks/equal_scores.py --peer-python /path/to/its/bin/python --json equal_scores.json

Nothing selects a checkpoint: the weights after the last step are scored on the official validation split, in fp32, by
the same code for all. A run that was stopped goes on: what the JSON file holds is not trained again.

The base model, all-MiniLM-L6-v2, was tuned on a billion pairs of sentences, among them MultiNLI, QQP and SQuAD.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from sidebyside.contenders import CONTENDERS, SCORES
from sidebyside.data import SOURCE, glue_rows, main_metric, training_sample
from sidebyside.processes import add_shared_options, python_for, run
from sidebyside.scores import Record, scores_table
from sidebyside.table import describe_run, one_version
from sidebyside.work import Work
from transformers.utils.logging import disable_progress_bar

from distilgrid.models.io import load_model
from distilgrid.models.source import model_folder
from distilgrid.training.predictor import evaluate

ROWS: dict[str, int | None] = {"sst2": 8000, "cola": None}  # None: all
EPOCHS, MAX_LENGTH = 3, 128


def main() -> None:
    """Train what is missing, and print the table."""
    options = _options()
    torch.set_num_threads(options.threads)
    disable_progress_bar()
    records: list[Record] = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else []
    for task in options.tasks:
        missing = [cell for cell in _cells(task, options) if not any(_is(record, cell) for record in records)]
        if missing:
            _train(task, missing, records, options)
    wanted = [record for record in records if any(_is(record, c) for t in options.tasks for c in _cells(t, options))]
    print(_report(wanted, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    add_shared_options(parser)
    parser.add_argument("--tasks", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, help=f"training rows of every task, instead of {ROWS}")
    parser.add_argument("--json", type=Path, default=Path("equal_scores.json"), help="finished runs; read first")
    parser.set_defaults(contenders=SCORES)
    return parser.parse_args()


def _cells(task: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What is wanted of a task, contenders taking turns, by what identifies a finished run."""
    rows = options.rows or ROWS[task]
    return [
        {"task": task, "contender": contender, "seed": seed, "asked_rows": rows, "epochs": EPOCHS}
        for seed in options.seeds
        for contender in options.contenders
    ]


def _is(record: Record, cell: dict[str, Any]) -> bool:
    return all(record[name] == value for name, value in cell.items())


def _train(task: str, cells: list[dict[str, Any]], records: list[Record], options: argparse.Namespace) -> None:
    """Train and score cells of one task, each kept at once."""
    rows = cells[0]["asked_rows"]
    with tempfile.TemporaryDirectory(prefix="scores-") as folder:
        sample = training_sample(task, rows=rows, max_length=MAX_LENGTH, whole_vocabulary=False)
        sample.write(Path(folder) / "rows.npz")
        validation = glue_rows(task, "validation", max_length=MAX_LENGTH)
        for cell in cells:
            work = _work(cell, Path(folder), options)
            found = run(work, python=python_for(cell["contender"], options))
            metric = main_metric(task)
            score = evaluate(load_model(work.save), validation.encodings, validation.labels.numpy(), [metric])[metric]
            kept = {name: found[name] for name in ("seconds", "steps", "versions", "gpu")}
            records.append({**cell, "rows": len(sample), "metric": metric, "score": score, **kept})
            _keep(records, options.json)
            print(f"{task} {cell['contender']} seed {cell['seed']}: {metric} {score:.4f}", file=sys.stderr)


def _work(cell: dict[str, Any], folder: Path, options: argparse.Namespace) -> Work:
    entry = CONTENDERS[cell["contender"]]
    return Work(
        framework=entry.framework,
        options=entry.options,
        model="minilm",
        folder=str(model_folder(SOURCE)),
        rows=str(folder / "rows.npz"),
        scratch=str(folder / "scratch"),
        save=str(folder / "trained"),
        seed=cell["seed"],
        threads=options.threads,
        epochs=cell["epochs"],
        max_length=MAX_LENGTH,
    )


def _keep(records: list[Record], path: Path) -> None:
    """Replace the file at once, so that a run stopped meanwhile leaves it whole."""
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_text(json.dumps(records, indent=1), encoding="utf-8")
    scratch.replace(path)


def _report(records: list[Record], options: argparse.Namespace) -> str:
    line = describe_run(versions=one_version(records), threads=options.threads, gpu=None)
    steps = {task: int(np.max([r["steps"] for r in records if r["task"] == task])) for task in options.tasks}
    seconds = mean(record["seconds"] for record in records)
    setting = (
        f"minilm, {EPOCHS} epochs, batch 32, learning rate 5e-5, warm-up 0.1, weight decay 0.01, gradients clipped "
        f"to 1; final weights, official validation split, fp32; steps: {steps}; {seconds:.0f} s a run on average."
    )
    return "\n\n".join([line, setting, scores_table(records)])


if __name__ == "__main__":
    main()
