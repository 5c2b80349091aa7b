"""New projects that run the packaged workflow: a small grid, and the files around it."""

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from distilgrid import __version__
from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.project import packaged

GRID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CELLS = Path(".dvc/plots/cells.json")


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
        name = folder.resolve().name
        for file, text in _texts()["files"].items():
            (folder / file).write_text(text.format(name=name, version=__version__), encoding="utf-8")
        (folder / "params.yaml").write_text(_params(name), encoding="utf-8")
        (folder / "dvc.yaml").write_text(_dvc(), encoding="utf-8")


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder that does not exist yet")
    if folder.is_dir() and any(entry.name != ".git" for entry in folder.iterdir()):
        raise UserError(f"{folder}: exists and is not empty; name another folder, or empty this one")


@cache
def _texts() -> Any:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _params(name: str) -> str:
    """The default parameters with their comments, and a smaller grid.

    Raises:
        ValueError: when the default parameters have changed, and `new_project.yaml` has not.
    """
    _, _, text = packaged("params.yaml").read_text(encoding="utf-8").partition("\n\n")
    grid = name if GRID_NAME.fullmatch(name) else "mygrid"
    for line, instead in {"name: default\n": f"name: {grid}\n", **_texts()["smaller"]}.items():
        if text.count(line) != 1:
            raise ValueError(f"params.yaml: expected '{line.strip()}' once; adapt distilgrid/workflow/new_project.yaml")
        text = text.replace(line, instead)
    return f"{_texts()['params_header']}\n{text}"


def _dvc() -> str:
    """The stages of the default `dvc.yaml`, which depend on the version of the package instead of its source files."""
    read = yaml.safe_load(packaged("dvc.yaml").read_text(encoding="utf-8"))
    whole = json.loads(json.dumps(read))  # repeated values become separate ones, which YAML writes without anchors
    for stage in whole["stages"].values():
        made = [path for path in stage["deps"] if path.startswith("results/")]
        stage["deps"] = [*made, "requirements.txt"]
    for plot in whole["stages"]["report"]["plots"]:
        for settings in plot.values():
            settings["template"] = f"plots/{CELLS.name}"
    return str(_texts()["dvc_header"]) + yaml.safe_dump(whole, sort_keys=False, width=120)
