"""Documents, the citation, the templates of issues, the continuous integration and its data folders."""

import os
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

import distilgrid

FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGE = ROOT / "src" / "distilgrid"
DEEPER = [*sorted((ROOT / "docs").glob("*/*.md")), *sorted(PACKAGE.rglob("*.md")), ROOT / "examples/plugin/README.md"]
NEEDED = {"cff-version", "message", "title", "type", "authors", "version", "date-released", "license", "abstract"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_citation_is_of_this_version() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation.keys() >= NEEDED | {"keywords"}
    assert str(citation["version"]) == distilgrid.__version__
    assert isinstance(citation["date-released"], date)
    assert citation["authors"] == [{"name": "The DistilGrid developers"}]


def test_the_citation_has_the_changelogs_date_of_a_released_version() -> None:
    (version, dated) = re.findall(r"^## \[([\d.]+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert version == distilgrid.__version__
    assert dated in ("Unreleased", str(read(ROOT / "CITATION.cff")["date-released"]))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(workflow: Path) -> list[str]:
    steps = [step for job in read(workflow)["jobs"].values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_what_exists(workflow: Path) -> None:
    assert read(workflow)[True], "YAML reads `on` as true"
    for command in commands(workflow):
        assert command == ".ci/run" or command.removeprefix("make ") in make_targets(), command
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_both_pythons_run_the_checks_and_the_slow_tests_run_at_night() -> None:
    jobs = read(ROOT / ".github/workflows/ci.yml")["jobs"]
    assert [job["strategy"]["matrix"]["python"] for job in jobs.values()] == [["3.11", "3.12"]] * 2
    assert commands(ROOT / ".github/workflows/ci.yml") == [".ci/run", "make test-all"]
    assert read(ROOT / ".github/workflows/ci.yml")[True]["schedule"]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_each_question_once(form: Path) -> None:
    asked = read(form)
    assert asked["name"] and asked["description"]
    ids = [question["id"] for question in asked["body"]]
    assert len(ids) == len(set(ids)) > 0
    assert all(question["attributes"]["label"] for question in asked["body"])


def test_the_ci_script_offers_every_folder_of_data_that_tests_read(tmp_path: Path) -> None:
    read_by_tests = set()
    for path in (ROOT / "tests").rglob("*.py"):
        read_by_tests |= set(re.findall(r"environ(?:\.get\(|\[)\"(DISTILGRID_\w+_DIR)\"", path.read_text()))
    clone, data = tmp_path / "clone", tmp_path / "shared/data"
    (clone / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", clone / ".ci/run")
    (clone / "Makefile").write_text("lint:\n\t@true\ntest:\n\t@env\n")
    assert offered(clone) == {}
    for name in ("glue", "cifar10"):
        (data / name).mkdir(parents=True)
    found = offered(clone)
    assert found.keys() == read_by_tests >= {"DISTILGRID_GLUE_DIR", "DISTILGRID_CIFAR_DIR"}
    assert found["DISTILGRID_GLUE_DIR"] == str(data / "glue")


def offered(clone: Path) -> dict[str, str]:
    """The folders of data that `make test` gets from the script."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DISTILGRID_", "MAKE"))}
    said = subprocess.run([".ci/run"], cwd=clone, env=env, text=True, capture_output=True, check=True).stdout
    return dict(re.findall(r"^(DISTILGRID_\w+_DIR)=(.*)$", said, re.MULTILINE))


@pytest.mark.parametrize("document", [*DOCUMENTS, *DEEPER], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_links_to_files_that_exist(document: Path) -> None:
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text())}
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_paths_that_exist(document: Path) -> None:
    folders = ROOT, PACKAGE
    missing = [path for path in named_paths(document) if not any((folder / path).exists() for folder in folders)]
    assert missing == []


def named_paths(document: Path) -> set[str]:
    """Paths in backticks that begin with a folder of the repository or of the package."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    words = {word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()}
    tops = {path.name for folder in (ROOT, PACKAGE) for path in folder.iterdir() if path.is_dir()} - {"results", "dist"}
    paths = {word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", word) and word.partition("/")[0] in tops}
    return {path for path in paths if "..." not in path} - {"grids/mine.yaml"}  # a reader writes that one
