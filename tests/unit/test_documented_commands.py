"""Commands in the documents: each names options, settings and files that exist.

They are collected from code blocks and from code within sentences: a new command is checked without being listed.
"""

import contextlib
import importlib.util
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.conftest import ROOT

from distilgrid.cli.app import app
from distilgrid.core.project import located, parse_yaml
from distilgrid.core.schema import deep_merge
from distilgrid.plan.names import named
from distilgrid.plan.params import Params, parse_params
from distilgrid.stages.table import STAGES, TARGETS
from distilgrid.workflow.opening import merged

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS += [*sorted((ROOT / "src").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
EXCEPTIONS = {
    "dvc exp run -S +methods.kd.temperatur=2": "shows how a misspelt key is refused",
}
"""Commands that fail, and why they are there. Other programs, such as git and pip, are not ours to check."""
READERS_OWN = {"grids/before.yaml", "grids/after.yaml", "that.yaml", "mine.yaml", "grid.yaml"}
"""Parameter files of readers. One that a document shows, with its name as the first line, is read."""
FENCED = re.compile(r"```.*?```", re.DOTALL)
SHOWN = re.compile(r"```yaml\n(# [\w/.-]+\.yaml\n.*?)```", re.DOTALL)
PLACEHOLDER = re.compile(r"\.\.\.|…|<\w+>")


@dataclass(frozen=True)
class Command:
    """A command in a document."""

    place: str  # the document and the line
    words: tuple[str, ...]
    whole: bool  # stands in a code block; code within a sentence may leave out what is clear there

    @property
    def text(self) -> str:
        return " ".join(self.words)


def lines_of_code(text: str, languages: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The numbered lines of code blocks: fenced ones in some languages, and with "" also indented ones."""
    fence: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence = line.strip().removeprefix("```") if fence is None else None
        elif (fence is None and "" in languages and line.startswith("    ")) or fence in languages:
            yield number, line.strip() if fence is None else line


def split(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of a line of a shell, without comments and variables."""
    words = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=";&|")
    words.whitespace_split = True
    command: list[str] = []
    with contextlib.suppress(ValueError):  # not a command: an apostrophe in a sentence
        for word in [*words, ";"]:
            if set(word) <= set(";&|"):
                yield tuple(command)
                command = []
            elif command or not re.fullmatch(r"[A-Z_]+=.*", word):
                command.append(word)


def commands(document: Path) -> Iterator[Command]:
    """All commands of a document that one of CHECKS knows."""
    text, name = document.read_text(encoding="utf-8"), str(document.relative_to(ROOT))
    before = ""
    for number, line in lines_of_code(text, ["", "bash", "sh", "console"]):
        if line.endswith("\\"):
            before += line[:-1]
            continue
        for words in split(before + line):
            yield Command(f"{name}:{number}", words, whole=True)
        before = ""
    prose = FENCED.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(prose.split("\n"), 1):
        for code in re.findall(r"`([^`]+)`", line) if not line.startswith("    ") else ():
            for words in split(code):
                yield Command(f"{name}:{number}", words, whole=False)


@cache
def shown() -> dict[str, Any]:
    """Parameter files that a document shows, by the name in their first line."""
    found = {}
    for document in DOCUMENTS:
        for block in SHOWN.findall(document.read_text(encoding="utf-8")):
            found[block.partition("\n")[0].removeprefix("# ")] = parse_yaml(block, origin=str(document))
    return found


def params_of(files: Sequence[str | Path], given: Sequence[str] = ()) -> Params:
    """The parameters of a documented command. Raises UserError when one is wrong or a file is not there."""
    values = merged([ROOT / "params.yaml"], [])
    for file in map(str, files):
        if file not in READERS_OWN:
            values = deep_merge(values, shown()[file] if file in shown() else merged([located(file)], []))
    return parse_params(deep_merge(values, merged([], given)), origin=" ".join([*map(str, files), *given]))


def check_distilgrid(command: Command) -> None:
    """Its options are known and its names resolve. Nothing runs."""
    group: Any = typer.main.get_command(app)
    name = command.words[1] if len(command.words) > 1 else "--help"
    if name.startswith("-"):
        return
    own = group.commands[name]
    if not command.whole:
        known = {text for each in own.params for text in each.opts} | {"--help"}
        options = command.text.partition(" -- ")[0].split()  # those of Snakemake come after
        assert {word.partition("=")[0] for word in options if word.startswith("--")} <= known
        return
    with contextlib.suppress(typer.Exit), contextlib.redirect_stdout(io.StringIO()):  # `--help` ends there
        given = own.make_context(name, list(command.words[2:])).params
        params = params_of(given.get("grid") or [])
        if name in STAGES:
            stage = STAGES[name]
            stage.settings(params, {each.name: given[each.name.replace("-", "_")] for each in stage.options})
        for axis, what in {"task": params.grid.tasks, "student": params.students, "method": params.methods}.items():
            if name in ("choose", "register") and given.get(axis) is not None:
                named(dict.fromkeys(what), given[axis], kind=axis)


@cache
def snakemake_parser() -> Any:
    cli = pytest.importorskip("snakemake.cli")
    return cli.get_argument_parser(profiles=[])


def check_snakemake(command: Command) -> None:
    """Its options, targets and profile exist, and its parameters are accepted. No graph of jobs is made."""
    found = snakemake_parser().parse_args(list(command.words[1:]))
    assert set(found.targets or []) <= {*TARGETS, "all", "track"}
    if found.workflow_profile:
        assert (ROOT / found.workflow_profile / "config.yaml").exists()
    params_of(found.configfile or [], found.config or [])


def check_config(command: Command) -> None:
    params_of([], command.words[1:])


def check_dvc(command: Command) -> None:
    """Its options exist, and changed parameters are accepted."""
    parser: Any = pytest.importorskip("dvc.cli.parser").get_main_parser()
    if not command.whole:
        return
    given = vars(parser.parse_args(list(command.words[1:])))
    values: dict[str, Any] = {}
    for change in given.get("set_param") or []:
        name, _, text = change.lstrip("+").partition("=")
        nested = parse_yaml(text, origin=change)
        for key in reversed(name.split(".")):
            nested = {key: nested}
        values = deep_merge(values, nested)
    parse_params(deep_merge(merged([ROOT / "params.yaml"], []), values), origin=command.text)


def check_make(command: Command) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {word for word in command.words[1:] if "=" not in word and not word.startswith("-")}
    assert asked <= targets


def check_python(command: Command) -> None:
    first = command.words[1]
    if first == "-m":
        assert importlib.util.find_spec(command.words[2])
    elif not first.startswith("-"):
        assert (ROOT / first).exists()


CHECKS: dict[str, Callable[[Command], None]] = {
    "distilgrid": check_distilgrid,
    "snakemake": check_snakemake,
    "--config": check_config,
    "dvc": check_dvc,
    "make": check_make,
    "python": check_python,
}
FOUND = [
    each
    for document in DOCUMENTS
    for each in commands(document)
    if each.words and each.words[0] in CHECKS and len(each.words) > 1 and not PLACEHOLDER.search(each.text)
]


@pytest.mark.parametrize("command", FOUND, ids=lambda command: f"{command.place} {command.text}"[:100])
def test_a_documented_command_is_one(command: Command) -> None:
    if command.text not in EXCEPTIONS:
        CHECKS[command.words[0]](command)


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    whole = {each.words[0] for each in FOUND if each.whole}
    assert whole >= {"distilgrid", "snakemake", "dvc", "make"}
    spoken = {each.text for each in FOUND if not each.whole}
    assert '--config resources={"device": "cuda", "processes": 2}' in spoken
    assert set(EXCEPTIONS) <= {each.text for each in FOUND}


@pytest.mark.parametrize(
    "line",
    [
        "distilgrid chose --task docs-topic --max-latency 10ms --max-loss 1.0",
        "distilgrid choose --task docs-topik --max-latency 10ms --max-loss 1.0",
        "distilgrid choose --task docs-topic --max-latency 10ms",
        "distilgrid distill --task docs-topic --teacher minilm-l6 --method kdd --student minilm-l3 --data d --out o",
        "distilgrid plan --grid grids/nowhere.yaml",
        "snakemake --cores 2 --configfle grids/glue_mini.yaml",
        "snakemake --cores 2 -- studnts",
        "snakemake --workflow-profile profiles/slrm --jobs 50",
        """snakemake --cores 2 --config 'resources={"processses": 2}'""",
        """--config 'resources={"processes": "2"}'""",
        "dvc exp run -S methods.pkd.betta=0.1",
        "make instal",
        "python scripts/nowhere.py",
    ],
)
def test_a_wrong_command_is_noticed(line: str) -> None:
    (words,) = split(line)
    with pytest.raises((Exception, SystemExit)):
        CHECKS[words[0]](Command("here", words, whole=True))
