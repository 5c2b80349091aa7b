"""YAML files that hold a mapping of settings."""

from pathlib import Path
from typing import Any

import yaml

from distilgrid.core.errors import UserError
from distilgrid.core.project import located


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
