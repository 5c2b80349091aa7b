"""Where models run: every forward pass of every stage on the device that the settings ask for, or on its own."""

import copy
import re
import shlex
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.conftest import ROOT
from tests.unit.made_up_gpu import made_up_gpu
from tests.unit.tiny_augmentation import save_encoder, save_translator
from tests.unit.tiny_benchmark import QUICK

from distilgrid.cli.app import main
from distilgrid.core.planned import Artefact
from distilgrid.core.schema import deep_merge
from distilgrid.jobs import process
from distilgrid.plan.expand import expand
from distilgrid.plan.params import parse_params
from distilgrid.stages import runner
from distilgrid.stages.table import STAGES

pytestmark = pytest.mark.chain

CONTROLLERS = "distilgrid.search.controllers."
"""Modules whose networks run on the CPU: jobs on several machines must make the same proposals of the same findings."""
ENDS = ("export", "benchmark", "report")
FITTED = {"source": "predicted", "architectures": 8, "held_out": 2}
SEARCH = {
    "space": "space.yaml",
    "reward": {"kind": "score-latency"},
    "latency": {"runtime": "torch-eager-fp32", **FITTED},
    "episodes": 2,
    "candidates": 2,
    "keep": 1,
}
SLICES = {"kind": "supernet", "epochs": 1, "tuning_steps": 1}
SHORT = {"kind": "mini_kd", "epochs": 1, "batch_size": 16}
SMALL = {
    "data": {"max_train_rows": 32, "max_dev_rows": 16, "max_validation_rows": 40},
    "benchmark": {"runtimes": ["torch-eager-fp32", "onnxruntime-fp32"], **QUICK, "lengths": [8]},
    "resources": {"device": "cuda", "candidate_jobs": True},
}
LIVE = {"live": {"objective": "kd", "teacher": "live"}}
SIGNALS: dict[str, Any] = {
    "grid": {"methods": ["live", "pkd", "mixkd", "hidden"], "searches": ["slices", "short"]},
    "methods": {**LIVE, "mixkd": {"objective": "mixkd"}, "hidden": {"objective": "hidden_kd"}},
    "searches": {
        "slices": SEARCH | {"controller": {"kind": "random"}, "estimator": SLICES},
        "short": SEARCH | {"controller": {"kind": "kd_nas"}, "estimator": SHORT},
    },
    "report": {"baseline": "live", "features": {"rows": 10, "method": "mixkd"}},
}
AUGMENTED: dict[str, Any] = {
    "grid": {"methods": ["kd"], "augmentations": ["none", "swapped", "guessed", "translated"]},
    "augmentations": {
        "swapped": {"kind": "eda", "synonym": 0, "insert": 0, "delete": 0},
        "guessed": {"kind": "word-replacement", "labels": "teacher"},
        "translated": {"kind": "back-translation"},
    },
    "report": {"baseline": "kd"},
}
IMAGES: dict[str, Any] = {
    "grid": {"tasks": ["digits"], "teachers": ["r8"], "methods": ["live", "annealing-kd"], "students": ["r8"]},
    "teachers": {"r8": {"source": "new:resnet-8"}},
    "methods": LIVE,
    "students": {"r8": {"source": "new:resnet-8"}},
    "training": {"views": {"shift": 1, "flip": False}},
    "report": {"baseline": "live"},
}
SPACE = "layers: [1, 2]\nhidden: [16, 32]\nheads: [2]\nfeed_forward: [16, 24, 32]\n"


@dataclass
class Ran:
    """The job of one artefact."""

    gpus: int = 0  # that it held
    passes: set[tuple[str, bool]] = field(default_factory=set)  # modules that ran, and whether on the GPU
    failed: str = ""  # the error, if any


@pytest.fixture(scope="module")
def jobs(
    tmp_path_factory: pytest.TempPathFactory, tiny_defaults: dict[str, Any]
) -> Iterator[list[tuple[Artefact, Ran]]]:
    """The jobs of grids that have all stages, on a made-up GPU; what failed there is made on the CPU."""
    work = tmp_path_factory.mktemp("placed")
    (work / "space.yaml").write_text(SPACE)
    sources = {"source": f"path:{save_encoder(work / 'encoder', head=True)}"}
    models = {name: f"path:{save_translator(work / name)}" for name in ("forward", "backward")}
    made = {"augmentations": {"guessed": sources, "translated": models}}
    own = {"grid": {"baselines": [], "seeds": [0]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setenv("XDG_CACHE_HOME", str(work / "cache"))
        for name in ("start_job", "start_torch_job"):
            patch.setattr(process, name, lambda **_: None)
        ran: dict[str, tuple[Artefact, Ran]] = {}
        for grid in (SIGNALS, deep_merge(AUGMENTED, made), IMAGES):
            values = copy.deepcopy(tiny_defaults)
            for layer in (SMALL, own, grid):
                values = deep_merge(values, layer)
            Path("params.yaml").write_text(yaml.safe_dump(values))
            Path("on-cpu.yaml").write_text(yaml.safe_dump(values | {"resources": {"device": "cpu"}}))
            plan = expand(parse_params(values, origin="params.yaml"))
            for folder, artefact in plan.artefacts.items():
                if folder not in ran and not (grid is not SIGNALS and artefact.stage in ENDS):
                    ran[folder] = artefact, _run(artefact, patch)
        yield list(ran.values())


def _run(artefact: Artefact, patch: pytest.MonkeyPatch) -> Ran:
    ran, words = Ran(), [artefact.stage, *shlex.split(artefact.arguments("results"))]
    patch.setattr(runner, "take_gpus", lambda *, count, **_: setattr(ran, "gpus", count))
    with made_up_gpu(patch) as gpu:
        ran.failed = _command(patch, *words, "--params", "params.yaml")
    noted = ((f"{kind.__module__}.{kind.__name__}", on_gpu) for kind, on_gpu in gpu.passes)
    ran.passes = {(name, on_gpu) for name, on_gpu in noted if not name.startswith(CONTROLLERS)}
    if ran.failed:
        assert not _command(patch, *words, "--params", "on-cpu.yaml")
    return ran


def _command(patch: pytest.MonkeyPatch, *words: str) -> str:
    """Run a command in this process; returns the error."""
    patch.setattr(sys, "argv", ["distilgrid", *words])
    try:
        main()
    except SystemExit as ended:
        return f"exit code {ended.code}" if ended.code else ""
    except Exception:
        return traceback.format_exc()
    return ""


@pytest.mark.parametrize("stage", STAGES)
def test_models_run_where_they_should(jobs: list[tuple[Artefact, Ran]], stage: str) -> None:
    own = [(artefact, ran) for artefact, ran in jobs if artefact.stage == stage]
    assert own, f"let a grid above have an artefact of '{stage}'"
    assert [ran.failed for _, ran in own if ran.failed] == []
    for artefact, ran in own:
        asked = artefact.place == "asked"
        assert ran.gpus == asked, artefact.folder
        assert [name for name, on_gpu in ran.passes if on_gpu != asked] == [], artefact.folder
        assert ran.passes or not asked, f"{artefact.folder} holds a GPU, and no model ran"


def test_the_document_says_where(jobs: list[tuple[Artefact, Ran]]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", (ROOT / "docs/cluster.md").read_text(), re.MULTILINE)
    places = {stage: set(said.split(", ")) for stage, said in rows}
    assert list(places) == list(STAGES)
    assert [artefact.folder for artefact, _ in jobs if artefact.place not in places[artefact.stage]] == []


def test_a_made_up_gpu_refuses_what_a_real_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, rows = torch.nn.Linear(3, 2), torch.ones(4, 3)
    with made_up_gpu(monkeypatch) as gpu:
        expected = layer(rows)
        layer.to("cuda")
        with pytest.raises(RuntimeError, match="expected all tensors to be on cuda"):
            layer(rows)
        made = layer(rows.to("cuda"))
        assert (made.device.type, made.cpu().device.type) == ("cuda", "cpu")
        with pytest.raises(TypeError, match="numpy"):
            made.detach().numpy()
        assert torch.equal(made.detach().cpu(), expected)
        made.sum().backward()
        assert layer.to("cpu")(rows).device.type == "cpu"
    assert gpu.passes == {(torch.nn.Linear, False), (torch.nn.Linear, True)}
