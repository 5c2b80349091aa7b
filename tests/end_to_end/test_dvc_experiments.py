"""DVC's experiments: a changed value remakes what depends on it, and a table tells the experiments apart."""

import json
from typing import Any

import pytest


def shown(project: Any) -> dict[str, dict[str, Any]]:
    """What `dvc exp show` knows of each named revision: its parameters and its metrics."""
    commits = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    found = {commit["name"] or commit["rev"]: commit["data"] for commit in commits}
    for commit in commits:
        for experiment in commit["experiments"] or []:
            found[experiment["name"]] = experiment["revs"][0]["data"]
    return {
        name: {
            "params": data["params"]["params.yaml"]["data"],
            "metrics": data["metrics"]["results/latest/metrics.json"]["data"],
        }
        for name, data in found.items()
    }


@pytest.mark.slow
def test_an_experiment_remakes_what_depends_on_its_value(versioned: Any) -> None:
    before = versioned.made()
    versioned.dvc("exp", "run", "-n", "weaker", "-S", "methods.pkd.beta=5.0")
    after = versioned.made()
    assert before.items() <= after.items(), "no cell was made again"
    assert sorted(folder.split("/half/")[0] for folder in after.keys() - before.keys() if "reports" not in folder) == [
        *["results/exports/students/reviews/tiny/pkd"] * 2,
        *["results/students/reviews/tiny/pkd"] * 2,
    ]

    versioned.dvc("exp", "run", "--temp", "-n", "longer", "-S", "training.epochs=12")
    assert versioned.made() == after, "the folder is left alone"
    found = shown(versioned)
    beta = {name: values["params"]["methods"]["pkd"]["beta"] for name, values in found.items()}
    assert (beta["main"], beta["weaker"], beta["longer"]) == (10.0, 5.0, 5.0), "it starts from what the folder holds"
    epochs = {name: values["params"]["training"]["epochs"] for name, values in found.items()}
    assert (epochs["workspace"], epochs["weaker"], epochs["longer"]) == (1, 1, 12)
    assert found["longer"]["metrics"]["reviews"]["half"] != found["weaker"]["metrics"]["reviews"]["half"]
    assert "weaker" in (table := versioned.dvc("exp", "show", "--csv", "--only-changed")) and "longer" in table

    versioned.dvc("exp", "apply", "longer")
    assert set(after) < set(versioned.made()), "its cells came along"
    assert versioned.jobs() == {}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ("+methods.kd.temperatur=2", "params.yaml: methods.kd.temperatur: unknown key; did you mean 'temperature'?"),
        ("methods.pkd.beta=strong", "params.yaml: methods.pkd.beta: Input should be a valid number"),
    ],
)
def test_an_experiment_with_a_wrong_value_makes_nothing(project: Any, change: str, answer: str) -> None:
    project.versioned()
    project.commit("a grid")
    done = project.run("dvc", "exp", "run", "-S", change, check=False)
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("distilgrid:")]
    assert len(said) == 1 and said[0].startswith(f"distilgrid: {answer}")
    assert "Traceback" not in done.stdout + done.stderr
    assert project.made() == {}
