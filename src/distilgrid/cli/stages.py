"""One command for each stage of the stage table: its options are what the stage declares."""

from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from distilgrid.cli import support
from distilgrid.cli.support import PARAMS_DEFAULT, RESULTS_DEFAULT, GridFiles, Out, ParamsFiles, Results, Threads
from distilgrid.core.planned import listed
from distilgrid.core.stage import Input, Option, Stage


def stage_command(stage: Stage) -> Callable[..., None]:
    """The function of a stage's command, with a parameter for each option."""

    def command(**given: Any) -> None:
        _run(stage, given)

    parameters = sorted(_parameters(stage), key=lambda each: each.default is not Parameter.empty)
    command.__name__, command.__doc__ = stage.name, stage.summary
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _run(stage: Stage, given: dict[str, Any]) -> None:
    from distilgrid.stages.runner import run_command

    params = support.load(given["params"], given["grid"])
    options = {option.name: given[_python(option.name)] for option in stage.options} | {"threads": given.get("threads")}
    folders = {each.name: listed(given.get(_python(each.name)) or []) for each in stage.inputs}
    results = given.get("results", RESULTS_DEFAULT)
    for line in run_command(stage, params, options, folders, out=given["out"], results=results):
        typer.echo(line)


def _python(name: str) -> str:
    return name.replace("-", "_")


def _parameters(stage: Stage) -> Iterator[Parameter]:
    yield from map(_option, stage.options)
    if stage.finds_inputs:
        yield _parameter("results", Results, RESULTS_DEFAULT)
    else:
        yield from map(_input, stage.inputs)
    yield _parameter("out", Out)
    yield _parameter("params", ParamsFiles, PARAMS_DEFAULT)
    yield _parameter("grid", GridFiles, None)
    if stage.threads is None:
        yield _parameter("threads", Threads, None)


def _parameter(name: str, annotation: Any, default: Any = ...) -> Parameter:
    value = Parameter.empty if default is ... else default
    return Parameter(_python(name), Parameter.KEYWORD_ONLY, default=value, annotation=annotation)


def _option(option: Option) -> Parameter:
    check = support.finite if option.type is float else None
    made: Any = typer.Option(f"--{option.name}", help=option.help, min=option.low, max=option.high, callback=check)
    annotation = option.type | None if option.default is None else option.type
    return _parameter(option.name, Annotated[annotation, made], option.default)


def _input(each: Input) -> Parameter:
    made: Any = typer.Option(f"--{each.name}", help=each.help)
    kind: Any = list[Path] if each.several else Path
    if each.required:
        return _parameter(each.name, Annotated[kind, made])
    return _parameter(each.name, Annotated[kind | None, made], None)
