"""The command `distilgrid choose`, from limits to a decision."""

import re
from collections.abc import Sequence
from pathlib import Path

from distilgrid.core.errors import UserError
from distilgrid.deployment.choice import Decision, Limits, choose
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import list_options
from distilgrid.plan.expand import Plan
from distilgrid.reporting.collect import Collected, collect
from distilgrid.reporting.findings import find

UNITS = {"ms": 1.0, "s": 1000.0, "us": 0.001}


def parse_latency(text: str) -> float:
    """Parse a time such as `10ms`, `0.5s`, `800us` or `10` as milliseconds.

    Raises:
        UserError: for anything else.
    """
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(ms|us|s)?", text.strip())
    if not found or float(found[1]) <= 0:
        raise UserError(f"--max-latency: '{text}' is no time; write 10ms, 0.5s or 800us")
    return float(found[1]) * UNITS[found[2] or "ms"]


def choose_model(
    *, plan: Plan, results: Path, task: str | None, limits: Limits, where: Where
) -> tuple[Decision, Collected]:
    """Choose a model for a task of a finished grid, and return the decision and the grid's results.

    Raises:
        UserError: when the task is not clear, results are missing, or no measurement fits.
    """
    chosen = _task(plan.params.grid.tasks, task)
    findings = find(collect(plan, results))
    return choose(list_options(findings, chosen, where), limits=limits), findings.collected


def _task(tasks: Sequence[str], task: str | None) -> str:
    if task is None and len(tasks) > 1:
        raise UserError(f"--task: the grid has several; name one of: {', '.join(tasks)}")
    if task is not None and task not in tasks:
        raise UserError(f"--task: '{task}' is not in the grid; choose one of: {', '.join(tasks)}")
    return task or tasks[0]
