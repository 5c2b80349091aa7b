"""A run writes into `results` and `.snakemake` only: Git sees a clean working copy."""

from typing import Any


def names(project: Any) -> set[str]:
    """What lies in the folder, ignored files included."""
    return {path.name for path in project.folder.iterdir()}


def test_a_run_leaves_the_working_copy_clean(finished: Any, new_project: Any, tmp_path: Any) -> None:
    assert finished.run("git", "log", "--format=%s").stdout == "before the run\n"
    assert finished.run("git", "status", "--porcelain").stdout == ""
    fresh = new_project(tmp_path / "fresh")
    assert names(finished) - names(fresh) == {".git", ".gitignore", ".snakemake", "results"}


def test_registering_a_model_makes_no_store_in_the_current_folder(changeable: Any) -> None:
    before = names(changeable)
    (cell,) = changeable.folder.glob("results/students/*/*/kd/*/*/*/seed-0-*")  # by name: the tiny grid learns nothing
    said = changeable.run("python", "-m", "distilgrid", "register", "--cell", str(cell)).stdout
    assert said.startswith("models:/distilgrid-reviews/1")
    assert names(changeable) == before
