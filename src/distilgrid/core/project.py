"""Files of a project, above all YAML: the user's own, and those that ship with the package.

The package's project files (grids, devices, profiles, default parameters) exist once, at the root of the repository.
A wheel holds a copy under `distilgrid/project`, which `setup.py` packs.
"""

from pathlib import Path
from typing import Any

import yaml

from distilgrid.core.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
PACKED = PACKAGE / "project"  # in a wheel
CHECKOUT = PACKAGE.parents[1]  # of a source tree, whose package lies in src/distilgrid
SHARED = ("devices", "grids")


def packaged(name: str) -> Path:
    """A file that ships with the package, by its name in a project's folder, such as `grids/glue_mini.yaml`."""
    return (PACKED if PACKED.is_dir() else CHECKOUT) / name


def located(path: Path | str) -> Path:
    """The user's own file where it exists, else the package's file of that name.

    Only names within the folders `devices` and `grids` fall back to the package.
    """
    own = Path(path)
    if own.exists() or own.parts[:1] not in [(folder,) for folder in SHARED] or ".." in own.parts:
        return own
    other = packaged(own.as_posix())
    return other if other.exists() else own


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file.

    A name such as `grids/glue_mini.yaml` that does not exist in the current folder means the package's file.

    Raises UserError when the file is missing, is not YAML or is not a mapping.
    """
    try:
        value = yaml.safe_load(located(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: must hold a mapping of settings, found {type(value).__name__}")
    return value
