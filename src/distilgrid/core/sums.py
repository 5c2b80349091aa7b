"""Checksums of a folder that has left the store, in the format of `sha256sum`. Light.

Such a folder has no `run.json`. Its first line counts the files, so that a list that was cut short is noticed.
"""

import re
from collections.abc import Collection
from pathlib import Path

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import file_sha256

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_sums(folder: Path, *, without: Collection[str] = ()) -> None:
    """Write `SHA256SUMS` for all files of a folder except those `without`, which people may edit."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    lines = [f"{file_sha256(path)}  {name}" for name, path in files.items() if name not in {SUMS, *without}]
    (folder / SUMS).write_text("\n".join([f"# {len(lines)} files", *lines, ""]), encoding="utf-8")


def listed_files(folder: Path) -> set[str]:
    """The names in the readable lines of `SHA256SUMS`."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return set()
    return {match[2] for match in map(LINE.fullmatch, text.split("\n")) if match}


def check_sums(folder: Path, *, advice: str) -> None:
    """Refuse a folder whose files are not those that were written into it.

    Raises UserError for a file that is missing, cut short or changed, or a list that is, with `advice`.
    """
    path = folder / SUMS
    with readable_os_errors(path):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; {advice}")
        if not path.is_file():
            raise UserError(f"{path}: missing, so the files cannot be checked; {advice}")
        first, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        found = [match for match in map(LINE.fullmatch, lines[:-1]) if match]
        if not found or [first, lines[-1]] != [f"# {len(found)} files", ""] or len(found) != len(lines) - 1:
            raise UserError(f"{path}: damaged; {advice}")
        for digest, name in (match.groups() for match in found):
            said = "" if (folder / name).is_file() else "missing"
            if not said and file_sha256(folder / name) != digest:
                said = f"content differs from what {SUMS} recorded (damaged?)"
            if said:
                raise UserError(f"{folder / name}: {said}; {advice}")
