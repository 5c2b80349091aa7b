"""Training throughput side by side: Hugging Face's Trainer, torchdistill and DistilGrid on the same rows.

    pip install -r benchmarks/peers/requirements.txt        # into a separate environment
    python benchmarks/training_throughput.py --peer-python /path/to/its/bin/python --json throughput.json

Every run is a separate process, and contenders take turns within each round. Equal for all: model, rows, batch size,
longest row, optimiser settings, number of threads, versions. The time is that of the steps alone, after a warm-up on
another copy of the model; tokens are those of the rows, without padding. A GPU, without GLUE and without the peers:

    python benchmarks/training_throughput.py --device cuda --model bert-base --tasks full --contenders distilgrid

The base model, all-MiniLM-L6-v2, was tuned on a billion pairs of sentences, among them MultiNLI, QQP and SQuAD.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from sidebyside.contenders import CONTENDERS, THROUGHPUT
from sidebyside.data import FULL, SOURCE, training_sample
from sidebyside.processes import add_shared_options, python_for, run
from sidebyside.sample import Sample
from sidebyside.table import describe_run, one_version
from sidebyside.throughput import peak_line, split_table, throughput_table
from sidebyside.work import Work

from distilgrid.core.machine import describe_machine
from distilgrid.models.source import model_folder

ROWS = {"sst2": 1600, "mrpc": 640, "qnli": 640, FULL: 640}
WARMUP_STEPS = 10


def main() -> None:
    """Measure in rounds, and print the tables."""
    options = _options()
    results: list[dict[str, Any]] = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        samples = {task: _sample(task, options, Path(folder)) for task in options.tasks}
        for number in range(options.rounds):
            for task, sample in samples.items():
                for contender in _turns(options.contenders, number):
                    results.append(_measure(contender, task, sample, number, options, Path(folder)))
                    _keep(results, options, load)
    print(_report(results, options, samples, load))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    add_shared_options(parser)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender on each task")
    parser.add_argument("--rows-scale", type=float, default=1.0, help="factor on " + str(ROWS))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--tasks", nargs="+", choices=ROWS, default=[task for task in ROWS if task != FULL])
    parser.add_argument("--model", choices=("minilm", "bert-base"), default="minilm", help="bert-base: random weights")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, help="file for every single measurement")
    parser.set_defaults(contenders=THROUGHPUT)
    return parser.parse_args()


def _turns(contenders: list[str], number: int) -> list[str]:
    """The contenders, another one first in each round."""
    first = number % len(contenders)
    return contenders[first:] + contenders[:first]


def _sample(task: str, options: argparse.Namespace, folder: Path) -> Sample:
    """A task's rows, a whole number of batches, in `<task>.npz`; the first of them in `<task>-warmup.npz`."""
    batches = max(1, round(ROWS[task] * options.rows_scale / options.batch_size))
    rows = batches * options.batch_size
    sample = training_sample(task, rows=rows, max_length=options.max_length, whole_vocabulary=True)
    sample.write(folder / f"{task}.npz")
    sample.head(min(batches, WARMUP_STEPS) * options.batch_size).write(folder / f"{task}-warmup.npz")
    return sample


def _measure(
    contender: str, task: str, sample: Sample, number: int, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    found = run(_work(contender, task, number, options, folder), python=python_for(contender, options))
    if found["steps"] != len(sample) // options.batch_size:
        sys.exit(f"{contender}: {found['steps']} steps for {len(sample)} rows")
    tokens = len(sample.tokens)
    print(f"round {number}: {task} {contender}: {tokens / found['seconds']:,.0f} tokens/s", file=sys.stderr)
    return {"contender": contender, "task": task, "round": number, "rows": len(sample), **found, "tokens": tokens}


def _work(contender: str, task: str, number: int, options: argparse.Namespace, folder: Path) -> Work:
    entry = CONTENDERS[contender]
    pretrained = options.model == "minilm" or entry.peer  # the peers' collators pad with its tokeniser
    return Work(
        framework=entry.framework,
        options=entry.options,
        model=options.model,
        folder=str(model_folder(SOURCE)) if pretrained else "",
        rows=str(folder / f"{task}.npz"),
        warmup=str(folder / f"{task}-warmup.npz"),
        scratch=str(folder),
        device=options.device,
        seed=number,
        threads=options.threads,
        batch_size=options.batch_size,
        max_length=options.max_length,
    )


def _keep(results: list[dict[str, Any]], options: argparse.Namespace, load: float) -> None:
    if options.json is not None:
        asked = {name: value for name, value in vars(options).items() if name not in ("json", "peer_python")}
        kept = {"machine": describe_machine(), "load_at_start": load, "options": asked, "results": results}
        options.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _report(results: list[dict[str, Any]], options: argparse.Namespace, samples: dict[str, Sample], load: float) -> str:
    shapes = ", ".join(f"{t} {len(s):,} of {len(s.tokens) / len(s):.1f} tokens" for t, s in samples.items())
    line = describe_run(versions=one_version(results), threads=options.threads, gpu=results[0]["gpu"])
    setting = (
        f"{options.model}, batch {options.batch_size}, at most {options.max_length} tokens; rows: {shapes}; medians of "
        f"{options.rounds} round(s); load of the machine at the start {load:.1f}."
    )
    parts = [line, setting, throughput_table(results), peak_line(results), split_table(results)]
    return "\n\n".join(filter(None, parts))


if __name__ == "__main__":
    main()
