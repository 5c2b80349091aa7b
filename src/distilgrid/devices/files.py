"""Devices by name: from the project's `devices/*.yaml`, else from those that ship with the package. Light."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.fingerprint import file_sha256
from distilgrid.core.messages import first_problem
from distilgrid.core.project import packaged
from distilgrid.devices.settings import KINDS, Device, ImportDevice

FOLDER = Path("devices")


def device_names(folder: Path = FOLDER) -> list[str]:
    """The names of all devices, in order."""
    return sorted({path.stem for each in (folder, packaged("devices")) for path in each.glob("*.yaml")})


def load_device(name: str, *, folder: Path = FOLDER) -> Device:
    """A device by its name; UserError for an unknown name, with a suggestion, and for a bad file."""
    from distilgrid.core.project import read_yaml

    known = device_names(folder)
    if name not in known:
        raise UserError(f"benchmark.devices: no device '{name}' in {folder}; {did_you_mean(name, known)}")
    own = folder / f"{name}.yaml"
    path = own if own.exists() else packaged(f"devices/{name}.yaml")
    return parse_device(read_yaml(path), origin=str(path))


def device_recipe(device: Device) -> dict[str, Any]:
    """The part of a device that decides a measurement; not which of several phones it is or where programs lie.

    An imported device counts by the content of its file, which must exist.
    """
    if not isinstance(device, ImportDevice):
        return device.model_dump(exclude={"serial", "folder", "binaries"})
    path = Path(device.file)
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the device's `file`")
    return {"kind": device.kind, "sha256": file_sha256(path)}


def parse_device(values: Mapping[str, Any], *, origin: str) -> Device:
    """A validated device from plain values; UserError with the origin and the key for wrong ones."""
    if "kind" not in values:
        raise UserError(f"{origin}: says no kind; add one of: {', '.join(f'kind: {kind}' for kind in KINDS)}")
    kind = str(values["kind"])
    if kind not in KINDS:
        raise UserError(f"{origin}: kind: unknown kind '{kind}'; {did_you_mean(kind, KINDS)}")
    model = KINDS[kind]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{origin}: {first_problem(error, model.model_json_schema())}") from None
