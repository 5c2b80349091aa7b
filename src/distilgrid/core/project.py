"""Files of a project, above all YAML: the user's own, and those that ship with the package.

The package's project files (grids, devices, profiles, default parameters) exist once, at the root of the repository.
A wheel holds a copy under `distilgrid/project`, which `setup.py` packs.
"""

import io
from pathlib import Path
from typing import Any

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
    """The mapping in a YAML file. A file with nothing but comments holds an empty one.

    A name such as `grids/glue_mini.yaml` that does not exist in the current folder means the package's file.

    Raises UserError when the file is missing, is not YAML, is not a mapping or names a key twice.
    """
    try:
        text = located(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML: {error}; save it as UTF-8") from None
    value = parse_yaml(text, origin=str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: must hold a mapping of settings, found {type(value).__name__}")
    return value


def parse_yaml(text: str, *, origin: str) -> Any:
    """The value of a YAML 1.2 text: `yes` and `on` are words there, `1e-4` is a number, `010` is ten.

    Raises UserError, which names the `origin` and the line, when the text is not YAML or names a key twice.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        key = str(error.problem).partition('"')[2].partition('" with value')[0].removesuffix('"')
        line = error.problem_mark.line + 1
        raise UserError(f"{origin}: line {line}: the key '{key}' is there twice; join its values under one") from None
    except RecursionError:
        raise UserError(f"{origin}: not valid YAML: its values are nested too deeply") from None
    except (YAMLError, ValueError, IndexError, OverflowError) as error:  # no date, number or character is written so
        raise UserError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from None


def yaml_text(values: Any) -> str:
    """Plain values as YAML that `parse_yaml` reads back, with the keys in their order."""
    from ruamel.yaml import YAML

    text = io.StringIO()
    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.allow_unicode = False  # U+0085 would come back as a blank
    writer.sort_base_mapping_type_on_output = False
    writer.dump(values, text)
    return text.getvalue()
