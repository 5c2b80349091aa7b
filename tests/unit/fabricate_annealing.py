"""Made-up results of annealed and searching methods, of watched validation splits and of tasks made of images."""

import io
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from distilgrid.core.planned import Artefact
from distilgrid.training.outcome import History

STAGE_ENDS = 8
"""The last step of stage 1, of 12 steps in all."""


def dev_scores(history: History, *, step: int) -> dict[str, Any]:
    """`dev` of `metrics.json`: the scores at a step."""
    return {"dev": {name: value for at, _, split, name, value in history.records if (at, split) == (step, "dev")}}


def annealed(model: Artefact, history: History) -> dict[str, Any]:
    """Temperatures 2 and 1, four steps each, then stage 2; `phases`, for an annealing method only."""
    if _method(model).get("objective") != "annealing_kd":
        return {}
    for step in range(2, STAGE_ENDS + 1, 2):
        temperature = 2.0 if step <= STAGE_ENDS / 2 else 1.0
        values = {"temperature": temperature, "phi": 1 - (temperature - 1) / 2}
        history.add(step=step, epoch=step / 4, split="train", values=values)
    stages = {"stage-1": STAGE_ENDS, "stage-2": 12}
    return {"phases": [{"name": n, "best_step": step, **dev_scores(history, step=step)} for n, step in stages.items()]}


def searched(model: Artefact, chance: np.random.Generator) -> dict[str, Any]:
    """`tuning`, for a method that is tuned only."""
    settings = _method(model).get("tuning")
    if not settings:
        return {}
    pairs = product(settings["alpha"], settings["temperature"])
    tried = [{"alpha": alpha, "temperature": t, "dev": 0.5 + 0.4 * float(chance.random())} for alpha, t in pairs]
    best = max(tried, key=lambda values: values["dev"])
    return {"tuning": {"chosen": {name: best[name] for name in ("alpha", "temperature")}, "tried": tried}}


def watched(model: Artefact, history: History, metrics: dict[str, Any]) -> dict[str, Any]:
    """`optimistic_score`, a little above the score, where the validation split was watched."""
    if not model.recipe["training"]["watch_validation"]:
        return {}
    for step, ahead in ((4, -0.1), (8, 0.02), (12, 0.0)):
        values = {metrics["score_name"]: metrics["score"] + ahead}
        history.add(step=step, epoch=step / 4, split="validation", values=values)
    return {"optimistic_score": metrics["score"] + 0.02}


def _method(model: Artefact) -> dict[str, Any]:
    """Settings of a student's method; none of a teacher's."""
    return dict(model.recipe["method"]) if model.stage == "distill" else {}


def image_task(folder: Path) -> dict[str, Any]:
    """A task of 8 x 8 grey noise with 3 labels, its file written to a folder."""
    chooser, rows = np.random.default_rng(5), {"train": 60, "dev": 30, "test": 200}
    parts = [part for part, count in rows.items() for _ in range(count)]
    frame = {"image": [_png(chooser) for _ in parts], "label": chooser.choice(list("abc"), len(parts)), "part": parts}
    pd.DataFrame(frame).to_parquet(folder / "shapes.parquet")
    source = {"kind": "image", "source": f"parquet:{folder / 'shapes.parquet'}", "split_column": "part"}
    return {**source, "labels": list("abc"), "validation": ["test"]}


def image_overlay(folder: Path, **grid: Any) -> dict[str, Any]:
    """Parameters of one task of images, `shapes`, with the teacher `deep` and the student `shallow`."""
    axes = {"tasks": ["shapes"], "teachers": ["deep"], "students": ["shallow"], "methods": ["finetune", "kd"]}
    return {
        "grid": axes | grid,
        "tasks": {"shapes": image_task(folder)},
        "teachers": {"deep": {"source": "new:resnet-20"}},
        "students": {"shallow": {"source": "new:resnet-8"}},
    }


def _png(chooser: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(chooser.integers(256, size=(8, 8), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()
