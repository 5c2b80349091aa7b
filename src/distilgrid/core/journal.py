"""Finished batches of texts, kept as they come, so that a killed run goes on where it stopped."""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.fingerprint import canonical_json, recipe_key

NAME = "batches.jsonl"
log = logging.getLogger("distilgrid")


class Journal:
    """A file of one JSON line per finished batch: its key, its texts, and a hash of both.

    A line is written and synced by itself. What a kill or a full disk cut short is dropped, and so are lines whose hash
    does not fit; lines of other settings are never asked for, because their keys differ.

    Args:
        folder: where the file lies; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / NAME
        self._found: dict[str, list[str]] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def __len__(self) -> int:
        return len(self._found)

    def find(self, key: str) -> list[str] | None:
        """The texts of a finished batch, or None."""
        return self._found.get(key)

    def add(self, key: str, texts: Sequence[str]) -> None:
        """Keep a finished batch; a failure is logged and costs no more than the time to make the batch again."""
        if self.path is None:
            return
        self._found[key] = list(texts)
        line = canonical_json({"key": key, "texts": list(texts), "check": _check(key, texts)}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _append(self.path, line.encode())
        except OSError as error:
            log.warning("%s: a batch could not be kept (%s); the work goes on", self.path, error)

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            log.warning("%s: its last line was cut short and is dropped", path)
            os.truncate(path, whole)  # else the next line would be appended to it
        for line in data[:whole].splitlines():
            entry = _parsed(line)
            if entry is None:
                log.warning("%s: a damaged line is ignored; its batch is made again", path)
            else:
                self._found[entry["key"]] = entry["texts"]


def _append(path: Path, line: bytes) -> None:
    """Add a line and sync it, or leave the file as it was."""
    with open(path, "ab", buffering=0) as stream:
        before = stream.tell()
        try:
            if stream.write(line) != len(line):
                raise OSError("written in part")
            os.fsync(stream.fileno())
        except BaseException:
            stream.truncate(before)
            raise


def _check(key: str, texts: Sequence[str]) -> str:
    return recipe_key({"key": key, "texts": list(texts)})


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        whole = entry["check"] == _check(entry["key"], entry["texts"])
    except (ValueError, KeyError, TypeError):
        return None
    return entry if whole else None
