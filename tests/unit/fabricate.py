"""A finished grid without training: a real plan, really prepared data, made-up results in the documented formats."""

import functools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from tests.unit.fabricate_annealing import annealed, dev_scores, searched, watched
from tests.unit.made import prepare

from distilgrid.core.artefacts import write_json, writing
from distilgrid.core.machine import describe_machine
from distilgrid.core.planned import Artefact
from distilgrid.core.schema import deep_merge
from distilgrid.plan.expand import Plan, expand
from distilgrid.plan.params import Params, parse_params
from distilgrid.runtimes.registry import find_runtime
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.tasks.kind import score
from distilgrid.training.outcome import History

WORDS = ("array", "axis", "graph", "node", "table", "query", "plot", "figure", "sparse", "index")
LABELS = {"reviews": ("negative", "positive"), "topics": ("culture", "science", "sport")}
SKILL = {"teacher": 1.3, "finetune": 0.75, "kd": 0.95}  # other methods are as good as kd
LAYERS = {"big": 6, "three": 3, "two": 2, "deep": 20, "shallow": 8}
REJECTED = "logits differ from torch's by 0.5, the tolerance is 0.0001"
MS_PER_LAYER = {"torch-eager-fp32": 2.4, "onnxruntime-fp32": 1.7, "onnxruntime-int8": 0.8}

Skill = Callable[[Mapping[str, Any]], float]


def default_skill(labels: Mapping[str, Any]) -> float:
    """How good a cell's model is: shift of the share of rows that it gets right, in standard deviations."""
    return SKILL.get(labels["method"], SKILL["kd"]) - (0.15 if labels["student"] == "two" else 0.0)


def fabricate_results(
    tmp_path: Path,
    *,
    overlay: Mapping[str, Any] | None = None,
    skill: Skill = default_skill,
    reject: Callable[[Artefact], bool] = lambda export: False,
    losses: bool = False,
) -> tuple[Plan, Path]:
    """A plan and its results folder, every artefact made except the report.

    Two tasks (`reviews`: binary, accuracy and F1; `topics`: 3 labels, accuracy and Matthews, two validation splits),
    one teacher, two methods, two students, two seeds.

    Args:
        tmp_path: an empty folder.
        overlay: parameters that differ.
        skill: quality of a cell's model from its labels.
        reject: which exports fail the parity gate.
        losses: whether models have a generalisation gap; those of older versions have none.
    """
    params = parse_params(deep_merge(_values(tmp_path), overlay or {}), origin="fabricated")
    plan, results = expand(params), tmp_path / "results"
    scores: dict[str, dict[str, Any]] = {}
    datasets = {task: _prepare(params, artefact, results) for task, artefact in plan.data.items()}
    for model in [*plan.teachers, *plan.helpers, *plan.students]:
        scores[model.key] = _model(model, datasets[model.labels["task"]], results, skill(model.labels), losses=losses)
    for rows in plan.of("augment"):
        fabricate_augmented(rows, datasets[rows.labels["task"]], results)
    for points in plan.of("features"):
        fabricate_features(points, datasets[points.labels["task"]], results)
    for recorded in plan.of("record"):
        _teacher_outputs(recorded, results)
    for export in plan.of("export"):
        origin = export.inputs["model"]
        assert isinstance(origin, Artefact)
        unfit = unquantised(export.labels["runtime"], datasets[export.labels["task"]])
        _export(export, scores[origin.key], results, unfit=unfit, reason=REJECTED if reject(export) else unfit)
    for benchmark in plan.of("benchmark"):
        _benchmark(params, benchmark, datasets[benchmark.labels["task"]], results)
    return plan, results


def _values(root: Path) -> dict[str, Any]:
    """The plain values of the parameters, with the files that they name."""
    (root / "model").mkdir(parents=True)
    (root / "model" / "config.json").write_text('{"model_type": "bert"}')
    save_file({"weight": np.zeros((2, 2), dtype=np.float32)}, root / "model" / "model.safetensors")
    return {
        "grid": {
            "name": "fabricated",
            "tasks": ["reviews", "topics"],
            "teachers": ["big"],
            "methods": ["finetune", "kd"],
            "students": ["three", "two"],
            "seeds": [0, 1],
        },
        "tasks": {
            "reviews": _task(root, "reviews", ["validation"], ["accuracy", "f1"]),
            "topics": _task(root, "topics", ["validation", "validation_shifted"], ["accuracy", "matthews"]),
        },
        "teachers": {"big": {"source": f"path:{root / 'model'}"}},
        "students": {"three": {"layers": 3}, "two": {"layers": 2}},
        "methods": {"finetune": {"objective": "finetune"}, "kd": {"objective": "kd"}},
        "benchmark": {"lengths": [32, 128], "repetitions": 5},
        "report": {"bootstrap_samples": 200},
    }


def _task(root: Path, name: str, validation: list[str], metrics: list[str]) -> dict[str, Any]:
    chooser, rows = np.random.default_rng(len(name)), {"train": 120, "dev": 60, **dict.fromkeys(validation, 300)}
    lines = ["text,label,part"]
    for part, count in rows.items():
        for row in range(count):
            words = " ".join(chooser.choice(WORDS, size=5))
            lines.append(f"{words} {part} {row},{chooser.choice(LABELS[name])},{part}")
    (root / f"{name}.csv").write_text("\n".join(lines) + "\n")
    source = {"source": f"csv:{root / f'{name}.csv'}", "text": ["text"], "split_column": "part"}
    return {**source, "labels": list(LABELS[name]), "validation": validation, "metrics": metrics}


def _prepare(params: Params, artefact: Artefact, results: Path) -> Dataset:
    task = artefact.labels["task"]
    out = results / artefact.folder
    prepare(task=task, spec=params.tasks[task], data=params.data, out=out)
    return open_dataset(out)


def _model(model: Artefact, dataset: Dataset, results: Path, skill: float, *, losses: bool) -> dict[str, Any]:
    """Writes the files of a teacher or student; returns its `metrics.json`."""
    layers = LAYERS[model.labels["student"]]
    chance = np.random.default_rng(zlib.crc32(model.location.encode()))
    predicted = pd.concat([_predictions(dataset, split, skill, chance) for split in dataset.validation])
    validation = {
        str(split): score(
            dataset.task_kind,
            dataset.metrics,
            labels=part["label"].to_numpy(),
            outputs=np.stack(part["logits"].to_list()),
        )
        for split, part in predicted.groupby("split", sort=False)
    }
    with writing(results / model.folder, recipe=model.recipe, labels=model.labels) as folder:
        save_file({"weight": chance.random((4, 4), dtype=np.float32)}, folder / "model.safetensors")
        tokenizer = () if dataset.kind == "image" else ("tokenizer.json", "tokenizer_config.json")
        for name in ("config.json", *tokenizer):
            write_json(folder / name, {"num_hidden_layers": layers})
        predicted.to_parquet(folder / "predictions.parquet", index=False)
        history = _history(validation[dataset.validation[0]], chance)
        metrics = _metrics(dataset, validation, layers) | dev_scores(history, step=12)
        metrics |= annealed(model, history) | searched(model, chance) | watched(model, history, metrics)
        history.write(folder / "history.parquet")
        metrics["train_rows"] = round(model.labels["fraction"] * metrics["train_rows"])
        if losses:
            metrics |= _losses(skill, chance)
        write_json(folder / "metrics.json", metrics)
    return metrics


@functools.lru_cache(maxsize=8)
def _rows(data: Path, split: str) -> pd.DataFrame:
    """The rows of a split, which all models of a task predict."""
    return open_dataset(data).split(split)


def _predictions(dataset: Dataset, split: str, skill: float, chance: np.random.Generator) -> pd.DataFrame:
    """A row is hard for all models alike, and a little harder or easier for each."""
    frame = _rows(dataset.folder, split)
    labels, rows = frame["label"].to_numpy(), np.arange(len(frame))
    hardness = np.random.default_rng(zlib.crc32(split.encode())).normal(size=len(frame))
    margin = skill + chance.normal(scale=0.4, size=len(frame)) - hardness
    logits = np.full((len(frame), dataset.outputs), -1.0, dtype=np.float32)
    logits[rows, (labels + chance.integers(1, dataset.outputs, size=len(frame))) % dataset.outputs] = 0.0
    logits[rows, labels] = margin
    frame = pd.DataFrame({"split": split, "example_id": frame["example_id"], "label": labels})
    return frame.assign(logits=list(logits))


def _history(final: dict[str, float], chance: np.random.Generator) -> History:
    history = History()
    for step in range(2, 13, 2):
        loss = 0.3 + 0.9 / step + chance.normal(scale=0.02)
        history.add(step=step, epoch=step / 4, split="train", values={"loss": loss, "learning_rate": 1e-4 / step})
        if step % 4 == 0:
            dev = {name: value - 0.12 * (12 - step) / 12 + chance.normal(scale=0.01) for name, value in final.items()}
            history.add(step=step, epoch=step / 4, split="dev", values=dev)
    return history


def _metrics(dataset: Dataset, validation: dict[str, dict[str, float]], layers: int) -> dict[str, Any]:
    return {
        "score": validation[dataset.validation[0]][dataset.metrics[0]],
        "score_name": dataset.metrics[0],
        "split": dataset.validation[0],
        "validation": validation,
        "best_step": 12,
        "steps": 12,
        "epochs": 3.0,
        "stopped_early": False,
        "parameters": 11_900_000 + 1_775_000 * layers,
        "size_bytes": 4 * (11_900_000 + 1_775_000 * layers) + 13_000,
        "train_rows": dataset.splits["train"]["rows"],
        "dev_rows": dataset.splits["dev"]["rows"],
        "teacher_forwards": 0,
        "init": "pretrained",
        "precision": "fp32",
        "layers": layers,
        "hidden_size": 384,
        "train_seconds": 7.5 * layers,
        "tokens_per_second": 9000.0 / layers,
        "peak_fraction": 0.5,
        "peak_memory_mib": 900.0,
        "time_split": {"forward": 2.0 * layers, "backward": 5.0 * layers, "optimiser": 0.5 * layers},
    }


def _losses(skill: float, chance: np.random.Generator) -> dict[str, float]:
    """The better the model, the lower its losses and their gap."""
    train, gap = 0.5 - 0.2 * skill + 0.01 * chance.random(), 0.3 - 0.1 * skill + 0.01 * chance.random()
    return {"train_loss": train, "dev_loss": train + gap, "generalisation_gap": gap}


def fabricate_augmented(rows: Artefact, dataset: Dataset, results: Path) -> None:
    """A training row twice over, beside itself turned round; unlabelled texts have no row beside them."""
    text = dataset.split("train")["text_a"][0]
    made_of = {"parents": [], "before": []} if rows.recipe["settings"]["kind"] == "unlabelled" else {"parents": [1]}
    sample = {"before": [[text]], **made_of, "copy": 0, "label": 0, "after": [" ".join(reversed(text.split()))]}
    samples = [sample, sample | {"label": 1, "after": ["<b>bold</b> " + 50 * "word "]}]
    with writing(results / rows.folder, recipe=rows.recipe, labels=rows.labels) as folder:
        dataset.split("train").head(2).to_parquet(folder / "train.parquet")
        count = round(1000 * rows.labels["fraction"])
        left_out = {"unchanged": 7, "repeated": 0, "scored": 2, "near": 3}
        write_json(folder / "samples.json", {"rows": count, **left_out, "samples": samples})


def fabricate_features(points: Artefact, dataset: Dataset, results: Path) -> None:
    """Clouds, one for each label; mixed samples lie between them."""
    chance, kinds = np.random.default_rng(0), ("original", "mixed", *points.recipe["inputs"]["augmented"])
    parts = []
    for kind in kinds:
        labels = chance.integers(dataset.outputs, size=40)
        places = (labels * (0.5 if kind == "mixed" else 1.0))[:, None] + chance.normal(scale=0.1, size=(40, 2))
        part = pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "kind": kind, "label": labels})
        parts.append(part.assign(weight=chance.random(40) if kind == "mixed" else 1.0))
    pca = points.recipe["settings"]["projection"] == "pca"
    facts = {"projection": points.recipe["settings"]["projection"], "counts": dict.fromkeys(kinds, 40)}
    with writing(results / points.folder, recipe=points.recipe, labels=points.labels) as folder:
        pd.concat(parts).to_parquet(folder / "features.parquet", index=False)
        write_json(folder / "features.json", {**facts, "explained_variance": [0.6, 0.15] if pca else None})


def _teacher_outputs(recorded: Artefact, results: Path) -> None:
    with writing(results / recorded.folder, recipe=recorded.recipe, labels=recorded.labels) as folder:
        save_file({"logits": np.zeros((2, 2), dtype=np.float32)}, folder / "train.safetensors")
        write_json(folder / "manifest.json", {"rows": 2, "teacher_forwards": 2})


def _export(export: Artefact, metrics: dict[str, Any], results: Path, *, unfit: str | None, reason: str | None) -> None:
    runtime = export.labels["runtime"]
    int8 = runtime.endswith("int8")
    parity = {
        "runtime": runtime,
        "accepted": reason is None,
        "reason": reason,
        "max_abs_difference": 0.21 if int8 else 3.1e-6,
        "tolerance": None if int8 else 1e-4,
        "rows": 256,
        "label_agreement": 0.985 if int8 else 1.0,
        "score": metrics["score"] - (0.004 if int8 else 0.0),
        "score_name": metrics["score_name"],
        "torch_score": metrics["score"],
        "dev": {name: value - (0.004 if int8 else 0.0) for name, value in metrics["dev"].items()},
        "validation": metrics["validation"],
        "size_bytes": metrics["size_bytes"] // (4 if int8 else 1),
    }
    if unfit:  # it was not even converted
        parity |= {
            **dict.fromkeys(("max_abs_difference", "label_agreement", "score", "dev")),
            "rows": 0,
            "validation": {},
        }
    with writing(results / export.folder, recipe=export.recipe, labels=export.labels) as folder:
        (folder / "model.onnx").write_bytes(b"")
        write_json(folder / "parity.json", parity)


def unquantised(runtime: str, dataset: Dataset) -> str | None:
    """Why a runtime takes no model of a task; None where it does."""
    return find_runtime(runtime).refuses.get("image") if dataset.kind == "image" else None


def _benchmark(params: Params, benchmark: Artefact, dataset: Dataset, results: Path) -> None:
    models = benchmark.inputs["model"]
    assert isinstance(models, list)
    runtimes = params.benchmark.runtimes
    entries = [_entry(params, model, runtime, dataset) for model in models for runtime in runtimes]
    value = {
        "protocol": params.benchmark.model_dump(),
        "machine": describe_machine(),
        "device": benchmark.labels["device"],
        "kind": "local",
        "processor": "cpu",
        "load_average": {"before": [0.1, 0.1, 0.1], "after": [0.9, 0.4, 0.2]},
        "entries": entries,
    }
    with writing(results / benchmark.folder, recipe=benchmark.recipe, labels=benchmark.labels) as folder:
        write_json(folder / "benchmark.json", value)


def _entry(params: Params, model: Artefact, runtime: str, dataset: Dataset) -> dict[str, Any]:
    layers, unfit = LAYERS[model.labels["student"]], unquantised(runtime, dataset)
    shapes: list[dict[str, Any]] = []
    for batch_size in [] if unfit else params.benchmark.batch_sizes:
        for length in [1] if dataset.kind == "image" else params.benchmark.lengths:
            middle = (0.4 + MS_PER_LAYER[runtime] * layers) * batch_size * length / 128
            samples = [round(middle * factor, 5) for factor in (0.98, 0.99, 1.0, 1.02, 1.1)]
            shapes.append({"kind": "shape", "threads": 1, "batch_size": batch_size, "length": length})
            shapes[-1] |= {"p50_ms": round(middle, 5), "p90_ms": round(middle * 1.068, 5), "samples_ms": samples}
            shapes[-1] |= {"p99_ms": round(middle * 1.0968, 5), "width": 0.02, "drift": 0.01, "turns": 1}
            shapes[-1] |= {"noisy": False, "attempts": 1, "energy_mj": None}
    return {
        "name": model.labels["student"],
        "role": "teacher" if model.stage == "finetune" else "student",
        "runtime": runtime,
        "optimised": True,
        "footprint": None,
        "parameters": 11_900_000 + 1_775_000 * layers,
        "size_bytes": 4 * (11_900_000 + 1_775_000 * layers) // (4 if runtime.endswith("int8") else 1),
        "skipped": f"export rejected: {unfit}" if unfit else None,
        "shapes": shapes,
        "skipped_shapes": [],
    }


def output(made: tuple[Plan, Path], name: str) -> str:
    """A file of a report."""
    plan, results = made
    return (results / plan.report.folder / name).read_text(encoding="utf-8")
