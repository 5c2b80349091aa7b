"""Contents of files that are perhaps compressed: the first bytes decide, never the name."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError

ZIP = b"PK\x03\x04"
LONGEST_MARK = 6


def _zstandard(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.input_stream(pa.py_buffer(content), compression="zstd").read())


PACKED = {
    b"\x1f\x8b": ("gzip", gzip.decompress),
    b"\x28\xb5\x2f\xfd": ("zstd", _zstandard),
    b"BZh": ("bzip2", bz2.decompress),
    b"\xfd7zXZ\x00": ("xz", lzma.decompress),
}
"""Unpacking by the first bytes of a file."""


def is_packed(path: Path) -> bool:
    """Whether a file begins as a compressed one. Raises UserError for an unreadable file."""
    with readable_os_errors(path), path.open("rb") as file:
        return file.read(LONGEST_MARK).startswith((ZIP, *PACKED))


def content_of(path: Path) -> bytes:
    """The bytes of a file, unpacked: gzip, zstd, bzip2, xz, or a zip archive of one file.

    Raises UserError for an unreadable or damaged file, and for an archive of several files.
    """
    with readable_os_errors(path):
        content = path.read_bytes()
    if content.startswith(ZIP):
        return _zipped(content, path)
    for mark, (name, unpack) in PACKED.items():
        if content.startswith(mark):
            try:
                return unpack(content)
            except Exception as error:  # each library raises types of its own; the user needs one line
                raise UserError(f"{path}: {name} data cannot be unpacked ({_first(error)}); fetch it anew") from None
    return content


def _zipped(content: bytes, path: Path) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) == 1:
                return archive.read(names[0])
    except Exception as error:  # a damaged archive, or one with a password
        raise UserError(f"{path}: zip archive cannot be unpacked ({_first(error)}); unpack it by hand") from None
    if "[Content_Types].xml" in names:
        raise UserError(f"{path}: is a document of an office program; save the table as CSV in UTF-8")
    raise UserError(f"{path}: zip archive of {len(names)} files; unpack it and name one of them")


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
