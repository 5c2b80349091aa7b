"""Time to plan 5,000 cells: 2 tasks, 5 methods, 10 students, 5 fractions, 10 seeds.

Run it from the root of the repository: python benchmarks/planner.py
"""

import copy
import statistics
import time
from pathlib import Path
from typing import Any

import yaml

from distilgrid.plan.expand import expand
from distilgrid.plan.params import parse_params

SHAPE = {"hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 96}


def values() -> dict[str, Any]:
    """Parameters of the made-up grid."""
    made: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    sizes = range(1, 11)
    made["students"] = {f"s{n}": {"architecture": {"num_hidden_layers": n, **SHAPE}} for n in sizes}
    made["methods"] = {"kd-mse": {"objective": "kd", "loss": "mse"}}
    made["grid"] |= {
        "methods": ["finetune", "kd", "kd-mse", "annealing-kd", "continuation-kd"],
        "baselines": [],
        "students": list(made["students"]),
        "fractions": [0.1, 0.2, 0.4, 0.8, 1.0],
        "seeds": list(range(10)),
    }
    made["training"] |= {"epochs": 20}
    return made


def main() -> None:
    """Print the median of five plans, in seconds of this process: others may compute at the same time."""
    seconds = []
    for _ in range(5):
        params = parse_params(copy.deepcopy(values()), origin="benchmarks/planner.py")
        start = time.process_time()
        plan = expand(params)
        count = len(plan.artefacts)
        seconds.append(time.process_time() - start)
    print(f"{len(plan.students)} cells, {count} artefacts: {statistics.median(seconds):.2f} s of CPU")


if __name__ == "__main__":
    main()
