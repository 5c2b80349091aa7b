"""Tables of strings and the entry points that add to them."""

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from distilgrid.core import loading
from distilgrid.core.errors import UserError
from distilgrid.core.loading import late, load, load_class, load_instance, with_added

GROUP = "distilgrid.made_up"


def declare(monkeypatch: pytest.MonkeyPatch, **targets: str) -> None:
    entries = [EntryPoint(name, target, GROUP) for name, target in targets.items()]
    monkeypatch.setattr(loading, "entry_points", lambda group: entries if group == GROUP else [])


def test_a_target_is_imported_on_use() -> None:
    assert load("json:dumps")([1]) == "[1]"
    assert late("json:dumps")([1], indent=None) == "[1]"


def test_other_packages_add_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, mine="my.package:Mine")
    assert with_added(GROUP, {"ours": "a:B"}) == {"ours": "a:B", "mine": "my.package:Mine"}
    assert with_added("distilgrid.other", {"ours": "a:B"}) == {"ours": "a:B"}


def test_a_name_that_exists_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ours="my.package:Mine")
    with pytest.raises(UserError, match=r"distilgrid.made_up 'ours' exists already; rename or uninstall it"):
        with_added(GROUP, {"ours": "a:B"})


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere.at_all:Mine", "kind 'mine': cannot load nowhere.at_all:Mine (No module named 'nowhere'); repair"),
        ("json:nothing", "kind 'mine': cannot load json:nothing (module 'json' has no attribute 'nothing'); repair"),
        ("json:dumps", "kind 'mine': json:dumps must be"),
        ("json:__name__", "kind 'mine': json:__name__ must be"),
    ],
)
def test_a_package_that_cannot_be_used_is_named_in_one_line(target: str, said: str) -> None:
    for wanted in (load_class, load_instance):
        with pytest.raises(UserError, match=f"^{re.escape(said)}"):
            wanted("kind 'mine'", target, UserError)


def test_a_package_that_fails_while_it_is_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_package.py").write_text("raise RuntimeError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"cannot load failing_package:A \(broken\); repair or uninstall its package"):
        load_class("method 'mine'", "failing_package:A", UserError)
