"""Pack the project files of the repository's root into the package; pyproject.toml says everything else."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PROJECT = (
    ".dvc/plots",
    ".dvcignore",
    "Snakefile",
    "devices",
    "dvc.yaml",
    "environment.yml",
    "grids",
    "params.yaml",
    "profiles",
)


class PackProject(build_py):
    """Copies the project files to where `distilgrid.core.project.packaged` looks for them in a wheel."""

    def run(self) -> None:
        """Build the modules, then add the files; an editable install reads those of the repository."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "distilgrid", "project")
            shutil.rmtree(folder, ignore_errors=True)  # left by an earlier build
            for name in PROJECT:
                take = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                take(ROOT / name, folder / name)


setup(cmdclass={"build_py": PackProject})
