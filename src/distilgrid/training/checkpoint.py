"""Saved states of unfinished work, such as training runs, from which it continues to the same bits.

A state is one safetensors file, named after its step and its SHA-256. The name exposes a truncated or changed file, and
a failed save keeps the previous state. Random numbers need no state: each step derives its own.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from distilgrid.core.artefacts import STATE
from distilgrid.core.machine import package_versions

FORMAT = 5
DIGITS = 16
log = logging.getLogger(__name__)


class Interrupted(SystemExit):
    """The run saved its state on request; the exit code asks to be started again."""

    def __init__(self) -> None:
        super().__init__(os.EX_TEMPFAIL)


@dataclass(frozen=True)
class Saved:
    """A state: tensors, and values that JSON can hold."""

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]


class Checkpoints:
    """Saves and finds the state of one artefact's training.

    Args:
        folder: folder of the artefact; its `.state` holds the states, outside the declared files. None keeps no state.
        key: recipe key; a state of another recipe or of other package versions is set aside.
        seconds: time between two saves.
        stop: tells whether the process was asked to stop, which saves at once and ends the run.
    """

    def __init__(self, folder: Path | None, *, key: str, seconds: float, stop: Callable[[], bool]) -> None:
        self.folder = folder / STATE if folder is not None else None
        self.owner = {"format": FORMAT, "key": key, "versions": package_versions()}
        self.seconds, self.stop = seconds, stop
        self.last = time.monotonic()

    def due(self, step: int, *, last: bool) -> bool:
        """Whether to save after this step. The last step saves nothing, since its results follow at once."""
        if self.folder is None or last:
            return False
        return self.stop() or time.monotonic() - self.last >= self.seconds

    def save(self, saved: Saved) -> None:
        """Write a state; a failure is logged and keeps the previous one. Raises Interrupted on a stop request."""
        assert self.folder is not None
        try:
            self._write(self.folder, saved)
        except (OSError, SafetensorError) as error:  # safetensors raises its error for a full disk
            log.warning("step %d: the state could not be saved (%s); the work continues", saved.step, error)
        self.last = time.monotonic()
        if self.stop():
            log.warning("asked to stop: ends after step %d; start again to go on from the saved state", saved.step)
            raise Interrupted

    def load(self) -> Saved | None:
        """The newest whole state of this artefact; other states are set aside with a warning."""
        for path in reversed(self._states()):
            found = self._read(path)
            if found is not None:
                log.info("going on after step %d", found.step)
                return found
            log.warning("%s: damaged, or of another recipe or version: set aside, the work starts over", path)
            with contextlib.suppress(OSError):  # another process of this job may have been first
                path.replace(path.with_suffix(".unusable"))
        return None

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors")) if self.folder is not None else []

    def _write(self, folder: Path, saved: Saved) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / "writing.tmp"
        try:
            header = {**self.owner, "tensors": list(saved.tensors), "step": saved.step, "values": saved.values}
            save_file(saved.tensors, scratch, metadata={"state": json.dumps(header)})
            with open(scratch, "rb") as stream:
                os.fsync(stream.fileno())
            path = folder / f"step-{saved.step:09d}-{_digest(scratch)}.safetensors"
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        for other in self._states():
            if other != path:
                other.unlink()

    def _read(self, path: Path) -> Saved | None:
        named = re.fullmatch(rf"step-\d+-([0-9a-f]{{{DIGITS}}})", path.stem)
        try:
            if named is None or _digest(path) != named[1]:
                return None
            with safe_open(path, framework="pt") as stream:
                header = json.loads(stream.metadata()["state"])
                tensors = {name: stream.get_tensor(name).clone() for name in header["tensors"]}
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        if {name: header.get(name) for name in self.owner} != self.owner:
            return None
        return Saved(step=header["step"], tensors=tensors, values=header["values"])


def _digest(path: Path) -> str:
    """Hash the present bytes: states follow each other too fast for a cache by size and time stamp."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGITS]


NOWHERE = Checkpoints(None, key="", seconds=float("inf"), stop=lambda: False)
