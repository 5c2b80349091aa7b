"""A tiny grid with searches, from a CSV file to its report and MLflow: the chain, the tables, nothing done twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from distilgrid.core.schema import deep_merge

SPACE = "layers: [1, 2]\nhidden: [8, 16]\nheads: [2]\nfeed_forward: [16, 32]\n"
SEARCH = {
    "space": "space.yaml",
    "controller": {"kind": "random"},
    "estimator": {"kind": "mini_kd", "epochs": 1, "batch_size": 16},
    "reward": {"kind": "score-latency"},
    "latency": {"source": "predicted", "runtime": "torch-eager-fp32", "architectures": 8, "held_out": 2},
    "episodes": 1,
    "candidates": 6,
    "keep": 6,
}
EVOLUTION = {"kind": "evolution", "population": 2, "tournament": 2}


@pytest.fixture(scope="module")
def searched(
    seeded: Callable[[Path], Any], tiny_defaults: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The finished grid: two searches, two seeds of one of them, six found students."""
    project = seeded(tmp_path_factory.mktemp("searched") / "project")
    (project.folder / "space.yaml").write_text(SPACE.replace("[16, 32]", "[16, 24, 32]"))
    found = {f"s{rank}": {"found": {"search": "random", "rank": rank}} for rank in range(1, 7)}
    grid = {"name": "searched", "methods": ["kd"], "baselines": [], "students": ["half", *found], "seeds": [0]}
    values = {
        "grid": grid | {"searches": ["random", "evolved"]},
        "students": found,
        "searches": {
            "random": SEARCH,
            "evolved": SEARCH | {"controller": EVOLUTION, "episodes": 3, "candidates": 2, "seeds": [0, 1]},
        },
        "benchmark": {"runtimes": ["torch-eager-fp32"], "lengths": [8]},
    }
    project.write(deep_merge(tiny_defaults, values))
    project.snakemake()
    return project


def test_found_students_have_the_shapes_that_were_found(searched: Any) -> None:
    (best,) = searched.folder.glob("results/searches/*/*/random-seed-0-*/best.json")
    shapes = {one["rank"]: one["architecture"] for one in json.loads(best.read_text())}
    assert len(shapes) == 6
    for rank, shape in shapes.items():
        (config,) = searched.folder.glob(f"results/students/*/*/kd/s{rank}/**/config.json")
        model = json.loads(config.read_text())
        assert (model["num_hidden_layers"], model["hidden_size"], model["intermediate_size"]) == (
            shape["layers"],
            shape["hidden"],
            shape["feed_forward"],
        )


def test_the_report_compares_searches_and_judges_estimates(searched: Any) -> None:
    (folder,) = searched.folder.glob("results/reports/*")
    table = (folder / "table.md").read_text()
    assert "reviews: architecture search" in table
    assert "evolved" in table and "n=2" in table
    assert "reviews: what estimates are worth" in table and "Kendall" in table
    page = (folder / "report.html").read_text()
    for title in ("best reward by trials", "all trials, quality against latency", "architectures that were found"):
        assert f"reviews: {title}" in page


def test_each_trial_is_a_child_run_in_mlflow(searched: Any) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{searched.folder / 'results/mlflow.db'}")
    experiment = client.get_experiment_by_name("distilgrid-searched")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    by_role: dict[str, list[Any]] = {}
    for run in runs:
        by_role.setdefault(run.data.tags["role"], []).append(run)
    assert len(by_role["search"]) == 3 and len(by_role["trial"]) == 3 * 6
    searches = {run.info.run_id: run.data.tags["folder"] for run in by_role["search"]}
    for trial in by_role["trial"]:
        above = searches[trial.data.tags["mlflow.parentRunId"]]
        assert trial.data.tags["folder"].startswith(above)
        assert {"reward", "latency_ms", "score", "loss"} <= set(trial.data.metrics)
    for path in searched.folder.glob("results/searches/*/*/*/trials.parquet"):
        folder = str(path.parent.relative_to(searched.folder / "results"))
        rewards = [run.data.metrics["reward"] for run in by_role["trial"] if folder in run.data.tags["folder"]]
        assert sorted(rewards) == pytest.approx(sorted(pd.read_parquet(path)["reward"]))


def test_a_second_run_has_nothing_to_do(searched: Any) -> None:
    done = searched.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.slow
def test_candidates_may_be_jobs_of_their_own(searched: Any) -> None:
    values = searched.values
    values["resources"] = values.get("resources", {}) | {"candidate_jobs": True}
    values["searches"]["evolved"]["seeds"] = [0, 1, 2]
    searched.write(values)
    searched.snakemake("--", "searches")
    (folder,) = searched.folder.glob("results/searches/*/*/evolved-seed-2-*")
    tried = pd.read_parquet(folder / "trials.parquet")
    jobs = searched.folder.glob("results/candidates/*/*/evolved-seed-2-episode-*/finding.json")
    found = {path.parent.name.rpartition("-")[0]: json.loads(path.read_text()) for path in jobs}
    for trial in tried.to_dict("records"):
        of = found[f"evolved-seed-2-episode-{trial['episode']}-{trial['number'] % 2}"]
        assert (of["name"], of["score"], of["loss"]) == (trial["name"], trial["score"], trial["loss"])
    assert len(found) == len(tried) == 6
    assert not list(searched.folder.glob("results/candidates/*/*/random-*")), "finished searches are not made again"
