"""Recipe keys, content hashes and derived seeds."""

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY_LENGTH = 12


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text on every machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def recipe_key(recipe: Mapping[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 of a recipe's canonical JSON."""
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()[:KEY_LENGTH]


def named_key(name: str) -> str | None:
    """The recipe key that a folder or file is named after; None for another name."""
    found = re.search(rf"-([0-9a-f]{{{KEY_LENGTH}}})$", name)
    return found[1] if found else None


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, which a process reads once while size, inode and time stamps stay."""
    resolved = Path(path).resolve()
    status = resolved.stat()
    return _sha256(str(resolved), status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256(path: str, *_unchanged: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def derive_seed(seed: int, stream: str) -> int:
    """A 63-bit seed for one random stream of a run, from the run's seed and the stream's name alone.

    Every method of a grid so sees the same head initialisation and the same order of rows: comparisons are paired.
    """
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
