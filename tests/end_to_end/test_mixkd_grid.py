"""A tiny MixKD grid with augmented rows, shares of the data and claims, from a CSV file to its report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from distilgrid.core.schema import deep_merge

CLAIMS = {
    "paper": {"title": "A paper", "year": 2021, "url": "https://example.org"},
    "claims": [
        {
            "id": "tmkd-over-kd",
            "claim": "Mixing helps.",
            "source": "abstract",
            "certainty": "sourced",
            "better": {"method": "tmkd", "augmentation": "none", "fraction": 1.0},
            "worse": {"method": "kd"},
            "tasks": "all",
        }
    ],
}


@pytest.fixture(scope="module")
def mixed(
    seeded: Callable[[Path], Any], tiny_defaults: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The finished grid."""
    project = seeded(tmp_path_factory.mktemp("mixed") / "project")
    (project.folder / "a.claims.yaml").write_text(yaml.safe_dump(CLAIMS))
    values = deep_merge(
        tiny_defaults,
        {
            "grid": {
                "name": "mixed",
                "methods": ["tmkd"],
                "augmentations": ["none", "soft"],
                "fractions": [0.5, 1.0],
                "seeds": [0],
            },
            "teachers": {"tiny": {"rows": "students"}},
            "augmentations": {"soft": {"kind": "eda", "labels": "teacher"}},
            "benchmark": {"runtimes": ["torch-eager-fp32"], "lengths": [8]},
            "report": {"claims": "a.claims.yaml", "features": {"rows": 12, "projection": "pca"}},
        },
    )
    project.write(values)
    project.snakemake()
    return project


def test_the_baselines_stand_beside_the_method(mixed: Any) -> None:
    table = pd.read_csv(next(mixed.folder.glob("results/reports/*/table.csv")))
    students = table[table["method"] != "teacher"]
    assert set(students["method"]) == {"finetune", "kd", "pkd", "tmkd"}
    assert set(students["augmentation"]) == {"none", "soft"}
    assert len(students) == 4 * 2 * 2
    assert sorted(table[table["method"] == "teacher"]["fraction"]) == [0.5, 1.0]


def test_augmented_rows_carry_the_teachers_probabilities(mixed: Any) -> None:
    for part in ("frac-0.5", "frac-1"):
        (path,) = mixed.folder.glob(f"results/augmented/**/{part}/**/train.parquet")
        frame = pd.read_parquet(path)
        assert all(abs(sum(values) - 1) < 1e-5 for values in frame["probabilities"])
        rows = {kind: train_rows(mixed, f"{kind}/{part}") for kind in ("none", "soft")}
        assert rows["soft"] == rows["none"] + len(frame)


def train_rows(project: Any, place: str) -> int:
    """Rows that the students of a place trained on, all the same."""
    found = [
        json.loads(path.read_text()) for path in project.folder.glob(f"results/students/**/{place}/**/metrics.json")
    ]
    assert len(found) == 4
    assert {metrics["teacher_forwards"] for metrics in found} == {0}
    (rows,) = {metrics["train_rows"] for metrics in found}
    return int(rows)


def test_the_claim_is_judged(mixed: Any) -> None:
    (claim,) = json.loads(next(mixed.folder.glob("results/reports/*/claims.json")).read_text())["claims"]
    metrics = [json.loads(path.read_text()) for path in mixed.folder.glob("results/students/**/metrics.json")]
    left_out = {"not in this grid"} if any(each.get("constant") for each in metrics) else set()  # the models are tiny
    assert claim["verdict"] in {"confirmed", "refuted", "not enough evidence"} | left_out
    page = next(mixed.folder.glob("results/reports/*/report.html")).read_text()
    assert "Mixing helps." in page


def test_a_second_run_has_nothing_to_do(mixed: Any) -> None:
    done = mixed.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.slow
def test_dvc_versions_augmented_rows_and_features(
    mixed: Any, new_project: Callable[[Path], Any], tmp_path: Path
) -> None:
    project = new_project(tmp_path / "copy")
    for name in ("results", "a.claims.yaml", "params.yaml"):
        source, target = mixed.folder / name, project.folder / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    (project.folder / ".gitignore").write_text("/results\n/.snakemake\n")
    project.run("git", "init", "-q")
    project.run("dvc", "init", "-q")
    shutil.copytree(Path(__file__).parents[2] / ".dvc/plots", project.folder / ".dvc/plots")
    before = trained(project)
    project.run("dvc", "repro")
    assert trained(project) == before, "the workflow's artefacts are taken as they are"
    assert "up to date" in project.run("dvc", "status").stdout
    kept = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    files = {out["path"]: out["nfiles"] for stage in kept.values() for out in stage["outs"] if "nfiles" in out}
    assert files["results/augmented"] > 0 and files["results/features"] > 0


def trained(project: Any) -> dict[Path, int]:
    """When each artefact was made."""
    runs = project.folder.glob("results/**/run.json")
    return {path.relative_to(project.folder): path.stat().st_mtime_ns for path in runs}
