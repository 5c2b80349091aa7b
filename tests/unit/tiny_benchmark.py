"""Tiny models that the real stages made, and a benchmark of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.made import benchmark, export, finetune, prepare

from distilgrid.benchmark.settings import Benchmark, Export
from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec
from distilgrid.training.settings import Training

LABELS = {"task": "reviews", "teacher": "tiny"}
QUICK = {"lengths": [8, 16], "warmup": 1, "repetitions": 10, "max_repetitions": 10, "retries": 0}


@dataclass(frozen=True)
class Chain:
    data: Path
    teacher: Path
    student: Path
    exports: list[Path]


def make_chain(root: Path, *, source: str, csv: Path) -> Chain:
    """A data set, two trained models, and for each model an accepted fp32 and an accepted int8 export."""
    spec = TaskSpec(source=f"csv:{csv}", text=["text"], label="sentiment")
    prepare(task="reviews", spec=spec, data=Data(max_train_rows=32, max_dev_rows=16), out=root / "data")
    training = Training(epochs=1, max_length=16, learning_rate=1e-3, precision="fp32")
    for seed, (name, method) in enumerate([("tiny", "teacher"), ("half", "kd")]):
        labels = {**LABELS, "method": method, "student": name, "seed": seed}
        finetune(data=root / "data", source=source, training=training, seed=seed, out=root / name, labels=labels)
    exports = [convert(root, name, runtime) for name in ("tiny", "half") for runtime in ("fp32", "int8")]
    return Chain(root / "data", root / "tiny", root / "half", exports)


def convert(root: Path, name: str, kind: str, *, tolerance: float = 1e-4) -> Path:
    out = root / f"{name}-onnx-{kind}-{tolerance:g}"
    export(
        data=root / "data",
        model=root / name,
        runtime=f"onnxruntime-{kind}",
        settings=Export(tolerance=tolerance),
        out=out,
    )
    return out


def entries_of(
    chain: Chain,
    out: Path,
    exports: list[Path] | None = None,
    *,
    data: Path | None = None,
    device: str = "local-cpu",
    **options: Any,
) -> list[dict[str, Any]]:
    """Runs the stage and returns the entries."""
    result = benchmark(
        settings=Benchmark(**{**QUICK, **options}),
        device=device,
        models=[chain.teacher, chain.student],
        exports=chain.exports if exports is None else exports,
        out=out,
        labels=LABELS,
        data=data,
    )
    entries: list[dict[str, Any]] = result["entries"]
    return entries
