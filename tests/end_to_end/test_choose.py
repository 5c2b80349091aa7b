"""From a finished grid to a folder that classifies: the usage example of its README runs as it stands."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from distilgrid.deployment.folder import write_folder
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import list_options
from distilgrid.plan.expand import expand
from distilgrid.plan.params import load_params
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import find


@pytest.fixture(scope="module")
def finished(new_project: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small grid that trains for long enough to learn: models that learned nothing are no options."""
    project = new_project(tmp_path_factory.mktemp("choose") / "learned")
    values = project.values
    values["grid"] |= {"methods": ["kd"], "baselines": [], "seeds": [0]}
    values["teachers"]["tiny"]["training"] = {"epochs": 4}
    values["training"] |= {"epochs": 4, "learning_rate": 5.0e-3}
    project.write(values)
    project.snakemake()
    return project


def deployed(finished: Any, *words: str) -> tuple[Path, str]:
    done = finished.run("python", "-m", "distilgrid", "choose", "--max-loss", "100", *words)
    return finished.folder / re.search(r"ready to deploy: (\S+)", done.stdout)[1], done.stdout  # type: ignore[index]


def readme_answer(folder: Path) -> str:
    """What the example prints, run in a program of its own."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 5
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_readme_of_a_deployed_folder_runs(changeable: Any) -> None:
    folder, said = deployed(changeable, "--max-latency", "1000s")
    assert said.startswith(("finetune", "kd", "pkd")) and "do both" in said
    assert "these milliseconds: p50 at batch size 1, 16 tokens, on " in said
    facts = json.loads((folder / "deployed.json").read_text())
    assert readme_answer(folder) in facts["labels"]
    measured = facts["measured"]
    assert (measured["device"], measured["processor"], measured["threads"]) == ("local-cpu", "cpu", 1)
    assert (measured["at"], measured["batch_size"], measured["percentile"]) == ("16", 1, "p50")


@pytest.mark.parametrize("runtime", ["onnxruntime-fp32", "onnxruntime-int8"])
def test_the_readme_of_an_onnx_folder_says_what_the_classifier_says(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    from distilgrid.deployment.classifier import Classifier

    monkeypatch.chdir(finished.folder)
    collected = collect(expand(load_params([Path("params.yaml")])), Path("results"))
    options = list_options(find(collected), "reviews", Where("local-cpu")).options
    option = next(o for o in options if o.runtime == runtime)
    folder = write_folder(option, collected, results=Path("results"), out=tmp_path / "shipped")
    assert readme_answer(folder) == Classifier(folder)("A text of yours.")


def test_a_deployed_folder_says_what_the_export_said(changeable: Any) -> None:
    from distilgrid.deployment.classifier import Classifier

    folder, _ = deployed(changeable, "--max-latency", "1000s")
    model = next(
        path
        for path in changeable.folder.glob("results/**/run.json")
        if json.loads(path.read_text())["key"] == json.loads((folder / "deployed.json").read_text())["model"]
    ).parent
    stored = pd.read_parquet(model / "predictions.parquet")
    labels = json.loads((folder / "labels.json").read_text())
    (data,) = changeable.folder.glob("results/data/**/validation.parquet")
    classify = Classifier(folder)
    found = [classify(text) for text in pd.read_parquet(data)["text_a"]]
    expected = [labels[int(logits.argmax())] for logits in stored["logits"]]
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 0.9 * len(expected)


def test_limits_that_nothing_keeps_to_end_with_exit_code_1(finished: Any) -> None:
    words = ["python", "-m", "distilgrid", "choose", "--max-latency", "1us", "--max-loss", "0"]
    done = finished.run(*words, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("no model keeps to both limits")
