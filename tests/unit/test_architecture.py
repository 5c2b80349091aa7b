"""The shape of the package: who asks for classes, which names are taken, how much there is to read for a student."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT

from distilgrid.augmentation.registry import AUGMENTATIONS
from distilgrid.methods.registry import METHODS, method_classes
from distilgrid.runtimes.registry import OWN_RUNTIMES
from distilgrid.tasks.kind import KINDS, known_kinds

SOURCE = ROOT / "src" / "distilgrid"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_ROOMS = 30


def outside(*features: str) -> Iterator[tuple[Path, str]]:
    """The lines of all files that lie in no folder of a feature."""
    for path in FILES:
        if not any(path.is_relative_to(SOURCE / feature) and path.parent != SOURCE / feature for feature in features):
            yield from ((path, line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


def found(pattern: str, lines: Iterable[tuple[Path, str]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {line}" for path, line in lines if re.search(pattern, line)]


# Features say what they need ------------------------------------------------------------------------------------------


def test_nobody_asks_what_class_a_method_is() -> None:
    classes = {cls.__name__ for method in method_classes().values() for cls in method.__mro__}
    names = "|".join(sorted(classes - {"BaseMethod", "BaseModel", "Settings", "object"}))
    assert found(rf"isinstance\([^)]*\b({names})\b", outside("methods")) == []


def test_nobody_compares_an_objective_with_a_name() -> None:
    names = "|".join(map(re.escape, METHODS))
    assert found(rf"objective\s*(==|!=|in)\s*[(\[{{]*\"({names})\"", outside("methods")) == []


def test_nobody_compares_a_kind_or_a_modality_with_a_name() -> None:
    names = "|".join(map(re.escape, [*KINDS, *(kind.modality for kind in known_kinds().values())]))
    compared = rf"(kind|modality)\w*(\.name|\.modality)?\s*(==|!=|in)\s*[(\[{{]*\"({names})\""
    assert found(compared, outside("tasks")) == []
    assert found(r"isinstance\([^)]*\b(ImageModel|Images)\b|\"pixel_values\" in ", outside("tasks")) == []


def test_nobody_compares_a_runtime_with_a_name() -> None:
    names = "|".join({name.partition("-")[0] for name in OWN_RUNTIMES})
    asked = rf"runtime\w*(\"\])?\s*(==|!=|in)\s*[(\[{{]*\"({names})|runtime\w*\.startswith\("
    assert found(asked, outside("runtimes")) == []


def test_nobody_asks_what_class_an_augmentation_is() -> None:
    names = "|".join(target.rpartition(":")[2] for target in AUGMENTATIONS.values())
    assert found(rf"isinstance\([^)]*\b({names})\b", outside("augmentation")) == []
    kinds = "|".join(map(re.escape, AUGMENTATIONS))
    assert found(rf"kind\s*(==|!=|in)\s*[(\[{{]*\"({kinds})\"", outside("augmentation")) == []


# Rooms and names ------------------------------------------------------------------------------------------------------


def test_the_package_has_few_floors() -> None:
    floors = {path.relative_to(SOURCE).parts[0] for path in FILES if path.parent != SOURCE}
    assert len(floors) <= MOST_ROOMS, sorted(floors)


def test_a_class_name_means_one_thing() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(SOURCE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_the_glossary_is_sorted_and_says_each_word_once() -> None:
    rows = re.findall(r"^\| (\w[\w ]*) \| ", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for word in rows if word != "word"]
    assert words == sorted(set(words))


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("search is of architectures, tuning of a method's values", r"\bKDSearch\b|--candidate.*tun|search of alpha"),
        ("a field of a table is no cell", r"class Cell\b"),
    ],
)
def test_a_word_that_has_another_meaning_is_not_used(word: str, pattern: str) -> None:
    assert found(pattern, outside()) == [], word


def test_the_picture_of_the_floors_is_the_one_the_code_makes() -> None:
    script = "import runpy; print(runpy.run_path('scripts/floors.py')['draw'](), end='')"
    drawn = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    stored = (ROOT / "docs" / "images" / "floors.svg").read_text(encoding="utf-8")
    assert drawn.stdout == stored, "run: python scripts/floors.py"


# Reading --------------------------------------------------------------------------------------------------------------

STUDENT = ("stages/distill/run.py", "methods/kd", "signals/rows.py", "tasks/kinds/label")
"""What a student of `kd` on labelled texts runs through, to begin with; tables of strings name the last three."""


def imported(path: Path) -> Iterator[Path]:
    """Files that a file imports when it is loaded; what it imports later is not on every student's way."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("distilgrid"):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            for name in names:
                file = SOURCE.parent / Path(*name.split(".")).with_suffix(".py")
                if file.is_file():
                    yield file


def student_files() -> list[Path]:
    """The files to read for one student; those of `core`, which know no student, are left out."""
    starts = [SOURCE / name for name in STUDENT]
    left = [file for start in starts for file in (start.glob("*.py") if start.is_dir() else [start])]
    seen: set[Path] = set()
    while left:
        path = left.pop()
        if path not in seen and path.name != "report.py":
            seen.add(path)
            left += imported(path)
    return sorted(path for path in seen if path.name != "__init__.py" and not path.is_relative_to(SOURCE / "core"))


def test_one_student_is_forty_files_to_read() -> None:
    """Prints what there is to read."""
    files = student_files()
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    listed = "".join(f"{count:5} {path.relative_to(SOURCE)}\n" for path, count in lines.items())
    sys.stdout.write(f"\n{listed}{len(files)} files, {sum(lines.values()):,} lines\n")
    assert len(files) <= 40 and sum(lines.values()) <= 5000
