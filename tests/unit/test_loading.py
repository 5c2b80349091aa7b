"""Tables of strings and the entry points that add to them."""

from importlib.metadata import EntryPoint

import pytest

from distilgrid.core import loading
from distilgrid.core.errors import UserError
from distilgrid.core.loading import late, load, with_added

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
