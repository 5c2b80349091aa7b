"""From a finished grid to a folder that classifies: the usage example of its README runs as it stands."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest


def deployed(finished: Any, *words: str) -> tuple[Path, str]:
    done = finished.run("python", "-m", "distilgrid", "choose", "--max-loss", "100", *words)
    return finished.folder / re.search(r"ready to deploy: (\S+)", done.stdout)[1], done.stdout  # type: ignore[index]


@pytest.mark.parametrize("limit", ["1000s"])
def test_the_readme_of_a_deployed_folder_runs(changeable: Any, limit: str) -> None:
    folder, said = deployed(changeable, "--max-latency", limit)
    assert said.startswith(("finetune", "kd", "pkd")) and "do both" in said
    facts = json.loads((folder / "deployed.json").read_text())
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 5
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in facts["labels"]


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
