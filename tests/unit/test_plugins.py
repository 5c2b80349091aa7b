"""Methods of installed packages: found by their entry points, refused in one line where they cannot be used."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distilgrid.core.errors import UserError
from distilgrid.methods.base import BaseMethod
from distilgrid.methods.registry import METHODS, method_classes, presets

ROOT = Path(__file__).parents[2]
MODULE = """
from typing import Literal
from distilgrid.methods.base import BaseMethod

class Own(BaseMethod):
    objective: Literal["own"] = "own"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages, empty as yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_method.py").write_text(MODULE)
    method_classes.cache_clear()
    yield tmp_path
    method_classes.cache_clear()
    sys.modules.pop("own_method", None)


def install(site: Path, *lines: str, package: str = "own") -> None:
    folder = site / f"{package}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[distilgrid.methods]\n" + "\n".join(lines) + "\n")


def test_a_packages_method_joins_ours(site: Path) -> None:
    install(site, "own = own_method:Own")
    assert list(method_classes()) == [*METHODS, "own"]
    assert method_classes()["own"]().recipe() == {"objective": "own", "version": 1}
    assert "own" not in presets()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kd = own_method:Own", "package 'own': distilgrid.methods 'kd' exists already; rename or uninstall it"),
        ("other = own_method:Own", "method 'other': its settings have objective 'own'; give both the same name"),
        ("own = own_method:Missing", "method 'own': cannot load own_method:Missing"),
        ("own = nowhere:Own", "method 'own': cannot load nowhere:Own (No module named 'nowhere'); repair or uninstall"),
        ("own = own_method:Literal", "method 'own': own_method:Literal must be a subclass of distilgrid.methods.base"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(site: Path, line: str, said: str) -> None:
    install(site, line)
    with pytest.raises(UserError, match=f"^{re.escape(said)}"):
        method_classes()


def test_two_packages_cannot_list_one_name(site: Path) -> None:
    install(site, "own = own_method:Own")
    install(site, "own = another:Own", package="second")
    with pytest.raises(UserError, match=r"distilgrid\.methods 'own' exists already; rename or uninstall it"):
        method_classes()


def test_every_method_says_what_recipes_need() -> None:
    for objective, method in method_classes().items():
        assert method.model_fields["objective"].default == objective
        assert method.version >= 1
        fewest, most = method.teachers
        assert 0 <= fewest <= most
    for name, preset in presets().items():
        assert isinstance(preset, BaseMethod), name
        assert not {"training", "teacher", "assistants"} & preset.recipe().keys()


@pytest.mark.parametrize(
    "asked",
    [r"isinstance\(\w*(method|settings)\w*, (KD|TAKD|PKD|HiddenKD|MixKD|\w+KD|Finetune)\)", r"\.objective == \""],
)
def test_nobody_asks_what_class_a_method_is(asked: str) -> None:
    files = [path for path in (ROOT / "src").rglob("*.py") if path.parent.parent.name != "methods"]
    assert [str(path) for path in files if re.search(asked, path.read_text(encoding="utf-8"))] == []


def test_training_knows_neither_signals_nor_methods() -> None:
    files = list((ROOT / "src/distilgrid/training").rglob("*.py"))
    above = re.compile(r"from distilgrid\.(signals|methods)\b")
    assert files
    assert [str(path) for path in files if above.search(path.read_text(encoding="utf-8"))] == []
