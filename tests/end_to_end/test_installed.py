"""The package as it is installed: what wheel and sdist hold, and a new project that runs outside the repository."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

NOT_SOURCES = (".git", ".venv", ".*_cache", ".snakemake", "__pycache__", "*.egg-info", "build", "dist", "results")
BUILD = "import sys, setuptools.build_meta as backend; print(backend.build_sdist(sys.argv[1]))"
NEEDED = ("Snakefile", "dvc.yaml", "environment.yml", "params.yaml", ".dvcignore", ".dvc/plots/cells.json")
FOLDERS = ("devices", "grids", "profiles")


def done(*command: object, folder: Path, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program that has ended, run in a folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILGRID_", "PYTEST_", "GIT_", "PYTHONPATH"))}
    words = list(map(str, command))
    ended = subprocess.run(
        words, cwd=folder, env=kept | variables, capture_output=True, text=True, check=False, timeout=900
    )
    assert not check or ended.returncode == 0, f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of a copy of the repository: building leaves files behind."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "copy", ignore=shutil.ignore_patterns(*NOT_SOURCES))
    built = done(sys.executable, "-c", BUILD, folder, folder=folder / "copy")
    return folder / built.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel, built from nothing but the sdist."""
    out = sdist.parent / "wheel"
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index")
    done(*pip, "--wheel-dir", out, sdist, folder=sdist.parent)
    (found,) = out.glob("*.whl")
    return found


class Installed:
    """The wheel installed into a folder, and programs that find it there first."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.site, self.work = folder / "site", folder / "work"
        self.work.mkdir()
        pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index")
        done(*pip, "--target", self.site, wheel, folder=folder)

    def run(self, *command: object, folder: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program outside the repository."""
        path = f"{self.site / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = {"PATH": path, "PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1"}
        return done(*command, folder=folder or self.work, check=check, **variables)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The installed package."""
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture
def project(installed: Installed, request: pytest.FixtureRequest) -> Path:
    """A project that `distilgrid init` wrote."""
    name = request.node.name[:90].replace("[", "-").replace("]", "")
    installed.run("distilgrid", "init", name)
    return installed.work / name


def files_below(folder: str, within: Path) -> set[str]:
    """The files of a folder of the repository, but modules."""
    found = (path for path in (within / folder).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    return {path.relative_to(within).as_posix() for path in found}


def test_the_wheel_holds_what_a_grid_needs(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"distilgrid/project/{name}" for name in NEEDED}
    wanted |= {f"distilgrid/project/{file}" for folder in FOLDERS for file in files_below(folder, ROOT)}
    wanted |= {file for file in files_below("distilgrid", ROOT / "src") if not file.endswith(".md")}
    assert wanted <= held
    assert len(wanted) > 60
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/distilgrid").rglob("*.py")}
    assert {name for name in held if name.endswith(".py")} == modules


def test_the_sdist_holds_what_a_developer_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {*NEEDED, "Makefile", "setup.py", "pyproject.toml", "requirements/lock.txt", "tests/conftest.py"}
    assert wanted <= held
    assert not {name for name in held if name.startswith(("results", "mlflow.db"))}


def test_commands_come_from_the_installed_package(installed: Installed) -> None:
    said = installed.run("python", "-c", "import distilgrid; print(distilgrid.__file__)").stdout
    assert said.strip() == str(installed.site / "distilgrid/__init__.py")
    assert installed.run("distilgrid", "where", "grids").stdout.strip() == str(
        installed.site / "distilgrid/project/grids"
    )


def test_a_new_project_plans_its_grid(installed: Installed, project: Path) -> None:
    assert "4 cells" in installed.run("distilgrid", "plan", folder=project).stdout
    dry = installed.run("python", "-m", "snakemake", "--cores", "2", "-n", folder=project).stdout
    assert "distill             4" in dry
    refused = installed.run("distilgrid", "init", project.name, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


def test_a_papers_grid_goes_on_top(installed: Installed, project: Path) -> None:
    overlay = installed.run("distilgrid", "where", "grids/kd_nas_mini.yaml").stdout.strip()
    snakemake = ("python", "-m", "snakemake", "--cores", "2", "-n", "--configfile", overlay)
    assert "searching" in installed.run(*snakemake, folder=project).stdout  # a space of the package, too


@pytest.mark.slow
def test_a_new_project_runs_to_its_report(installed: Installed, project: Path, tiny_defaults: dict[str, Any]) -> None:
    (project / "params.yaml").write_text(yaml.safe_dump(tiny_defaults))
    before = {path.relative_to(project) for path in project.iterdir()}
    installed.run("python", "-m", "snakemake", "--cores", "2", folder=project)
    said = installed.run("distilgrid", "publish", folder=project).stdout
    assert "report:" in said
    assert (project / "results/latest/report.html").is_file()
    assert (project / "results/mlflow.db").is_file()
    added = {path.relative_to(project) for path in project.iterdir()} - before
    assert {path.name for path in added} == {"results", ".snakemake"}
