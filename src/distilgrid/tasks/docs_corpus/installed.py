"""Docstrings of installed libraries, parsed from source files with `ast`. No library is imported."""

import ast
import importlib.util
import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path

from distilgrid.core.errors import UserError

CARRIED_ALONG = frozenset({"_lib", "extern", "externals", "_vendor"})
"""Folders of code that a library carries along from elsewhere (SciPy keeps most of that under `_lib`)."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def package_folder(package: str) -> Path:
    """Find an installed package's folder without importing it. Raises UserError if there is none."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"docs corpus: no package '{package}' is installed; pip install 'distilgrid[corpus]'")
    return Path(next(iter(found.submodule_search_locations)))


def read_docstrings(folder: Path) -> Iterator[tuple[str, str]]:
    """All docstrings below a package folder, ordered by path and line: module file (relative, `/`-separated) and text.

    Raises UserError for invalid Python.
    """
    files = [path for path in folder.rglob("*.py") if not any(map(_left_out, path.relative_to(folder).parts))]
    for module, path in sorted((path.relative_to(folder.parent).as_posix(), path) for path in files):
        for text in _texts(_parse(path)):
            yield module, text


def _left_out(name: str) -> bool:
    """Whether a file or folder holds tests, or code from elsewhere."""
    return name in CARRIED_ALONG or name.lstrip("_").startswith(("test", "conftest"))


def _parse(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{path}: cannot be parsed ({error}); reinstall that library") from None


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in (tree, *_statements(tree)):
        if isinstance(node, Documented):
            text = ast.get_docstring(node)
            if text:
                yield text
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _added_later(node.value)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node, ordered by line. Expressions hold no docstrings."""
    for field in ("body", "handlers", "orelse", "finalbody"):
        for child in getattr(node, field, ()):
            yield child
            yield from _statements(child)


def _added_later(call: ast.Call) -> Iterator[str]:
    """Text of an `add_newdoc(place, ..., text)` call, with which NumPy and SciPy document compiled objects."""
    if isinstance(call.func, ast.Name) and call.func.id == "add_newdoc" and call.args:
        last = call.args[-1]
        if isinstance(last, ast.Tuple) and last.elts:  # (method, text)
            last = last.elts[-1]
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            yield inspect.cleandoc(last.value)
