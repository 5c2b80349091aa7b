"""New projects that run the packaged workflow: a small grid, and the files around it."""

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from distilgrid import __version__
from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.project import packaged

GRID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PARAMS_HEADER = """\
# The parameters of this project: a small grid that runs without a network or a GPU.
#
# To change the grid, edit this file, or write a file that states only what differs and run
# `snakemake --cores 2 --configfile that.yaml`. A changed value leads to new paths: what depends on it is made anew,
# results of the old value stay, and `distilgrid plan` says what is stale and why. Every key: `distilgrid schema`.
"""
SMALLER = {
    "tasks: [docs-topic, docs-match]": "tasks: [docs-topic]",
    "methods: [finetune, kd, pkd]": "methods: [finetune, kd]",
    "students: [minilm-l3, minilm-l2]": "students: [minilm-l3]",
    "max_train_rows: 2000 # keeps the default grid": "max_train_rows: 1500 # keeps the first run",
}
"""Lines of the default parameters, and those of a new project."""
DVC_HEADER = """\
# DVC versions what the workflow makes: `git init && dvc init`, then `dvc repro`, or `dvc commit` after `snakemake`.
# Each stage is a named target of the Snakefile. requirements.txt names the version of DistilGrid: after an upgrade, DVC
# asks the workflow again.
"""
REQUIREMENTS = f"""\
# The version that made these results. dvc.yaml depends on this file.
distilgrid[grid]=={__version__}
"""
IGNORED = "/results/\n/.snakemake/\n/mlruns/\n__pycache__/\n"
README = """\
# {name}

A DistilGrid project: `params.yaml` states a grid of tasks, teachers, methods, students and seeds.

    distilgrid plan            # what is done, what is stale and why, time left
    snakemake --cores 2        # everything that does not exist yet; a killed run continues with the same command
    distilgrid publish         # the report becomes results/latest/report.html

`distilgrid where grids` is the folder of the papers' grids. One of them goes on top of `params.yaml` like this:
`snakemake --cores 2 --configfile "$(distilgrid where grids/glue_mini.yaml)"`. Further devices go to `devices/`.
"""
CELLS = Path(".dvc/plots/cells.json")


class _Plain(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated values out."""
        return True


def new_project(folder: Path) -> None:
    """Write a small working project.

    Raises:
        UserError: when the folder holds anything but `.git`, or cannot be written.
    """
    with readable_os_errors(folder):
        _check_empty(folder)
        (folder / "plots").mkdir(parents=True, exist_ok=True)
        shutil.copy(packaged(str(CELLS)), folder / "plots" / CELLS.name)
        shutil.copytree(packaged("profiles"), folder / "profiles")
        for file in ("Snakefile", ".dvcignore"):
            shutil.copy(packaged(file), folder)
        for file, text in _texts(folder.resolve().name).items():
            (folder / file).write_text(text, encoding="utf-8")


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder that does not exist yet")
    if folder.is_dir() and any(entry.name != ".git" for entry in folder.iterdir()):
        raise UserError(f"{folder}: exists and is not empty; name another folder, or empty this one")


def _texts(name: str) -> dict[str, str]:
    """The files that are written rather than copied."""
    return {
        ".gitignore": IGNORED,
        "README.md": README.format(name=name),
        "dvc.yaml": _dvc(),
        "params.yaml": _params(name if GRID_NAME.fullmatch(name) else "mygrid"),
        "requirements.txt": REQUIREMENTS,
    }


def _params(name: str) -> str:
    """The default parameters with their comments, and a smaller grid.

    Raises:
        ValueError: when the default parameters have changed, and `SMALLER` has not.
    """
    _, _, text = packaged("params.yaml").read_text(encoding="utf-8").partition("\n\n")
    for line, instead in {"name: default\n": f"name: {name}\n", **SMALLER}.items():
        if text.count(line) != 1:
            raise ValueError(f"params.yaml: expected '{line.strip()}' once; adapt distilgrid.workflow.new_project")
        text = text.replace(line, instead)
    return f"{PARAMS_HEADER}\n{text}"


def _dvc() -> str:
    """The stages of the default `dvc.yaml`, which depend on the version of the package instead of its source files."""
    whole = yaml.safe_load(packaged("dvc.yaml").read_text(encoding="utf-8"))
    for stage in whole["stages"].values():
        made = [path for path in stage["deps"] if path.startswith("results/")]
        stage["deps"] = [*made, "requirements.txt"]
    for plot in whole["stages"]["report"]["plots"]:
        for settings in plot.values():
            settings["template"] = f"plots/{CELLS.name}"
    return DVC_HEADER + yaml.dump(whole, Dumper=_Plain, sort_keys=False, width=120)
