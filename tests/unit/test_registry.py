"""What runtimes need: less to load and run exported models than to make them."""

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from distilgrid.core.errors import UserError
from distilgrid.runtimes.registry import RUNTIMES, missing_packages, open_exporter, open_runtime

EXPORTED = {name: entry for name, entry in RUNTIMES.items() if entry.exported}
CONVERTERS = sorted({package for entry in EXPORTED.values() for package in entry.converters})


def test_loading_needs_no_package_that_converts() -> None:
    """In a process of its own: imports of this one would hide that a module asks for more."""
    installed = [name for name, entry in EXPORTED.items() if not missing_packages(entry.packages)]
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {CONVERTERS}:\n"
        "            raise ModuleNotFoundError(f'no {name} here')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from distilgrid.runtimes.registry import open_runtime\n"
        f"for name in {installed}:\n"
        "    open_runtime(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "onnxruntime-int8" in installed and "onnx" in CONVERTERS


def test_converting_says_which_packages_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.util.find_spec
    hidden = {"onnx", "onnxruntime"}

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name in hidden else whole(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(UserError, match=r"runtime 'onnxruntime-int8' needs onnxruntime and onnx: pip install 'distil"):
        open_exporter("onnxruntime-int8")
    with pytest.raises(UserError, match=r"runtime 'onnxruntime-int8' needs onnxruntime: pip install"):
        open_runtime("onnxruntime-int8")
    hidden.remove("onnxruntime")
    assert open_runtime("onnxruntime-int8")
    with pytest.raises(UserError, match=r"needs onnx: pip install 'distilgrid\[onnx\]'"):
        open_exporter("onnxruntime-int8")
