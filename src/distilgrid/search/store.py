"""What is known of architectures, kept one file each, so that searches share it and a killed one goes on from it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import readable_os_errors
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import canonical_json, recipe_key

Facts = dict[str, Any]


class Store:
    """A folder of small JSON files, named after what they are about; the first writer's facts stand.

    Searches that run side by side may find out about the same architecture. A time or a latency differs each time it
    is measured; all of them take what was kept first, so they agree, and a resumed search sees what it saw before.

    Args:
        folder: where the files lie; named after everything that decides the facts but the architecture.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, about: Mapping[str, Any]) -> Facts | None:
        """The facts that are kept, or None.

        Raises:
            UserError: when the file is damaged.
        """
        path = self._path(about)
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            facts: Facts = entry["facts"]
            whole = entry["check"] == _check(about, facts)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise UserError(f"{path}: damaged; remove it, and the search finds it out again")
        return facts

    def keep(self, about: Mapping[str, Any], facts: Mapping[str, Any]) -> Facts:
        """Keep facts unless there are some; returns those that stand."""
        path = self._path(about)
        entry = {"about": dict(about), "facts": dict(facts), "check": _check(about, facts)}
        with readable_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(f".{os.getpid()}")
            scratch.write_text(canonical_json(entry) + "\n", encoding="utf-8")
            try:
                os.link(scratch, path)  # fails where there are some, which a rename would replace
            except FileExistsError:
                pass
            finally:
                scratch.unlink()
        found = self.find(about)
        assert found is not None
        return found

    def _path(self, about: Mapping[str, Any]) -> Path:
        return self.folder / f"{recipe_key(about)}.json"


def _check(about: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return recipe_key({"about": dict(about), "facts": dict(facts)})
