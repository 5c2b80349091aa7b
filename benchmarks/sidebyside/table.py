"""Markdown tables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from distilgrid.core.machine import describe_machine


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """A table; the first `left` columns are text, the others numbers."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def describe_run(*, versions: dict[str, str], threads: int, gpu: str | None) -> str:
    """One line: day, machine, threads, versions."""
    machine = describe_machine()
    day = datetime.now(UTC).date().isoformat()
    flags = ", ".join(machine["flags"])
    cpu = f"{machine['cores']} cores of {machine['cpu']} ({flags}), {machine['memory_gib']} GiB, {machine['system']}"
    place = cpu if gpu is None else f"{gpu}; {cpu}"
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{day}: {place}; {threads} thread(s); {named}."


def one_version(results: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The versions that all runs had.

    Raises:
        SystemExit: when runs differ, which would compare versions instead of frameworks.
    """
    distinct = {tuple(sorted(result["versions"].items())) for result in results}
    if len(distinct) > 1:
        raise SystemExit(f"the contenders ran with different versions: {sorted(distinct)}")
    return dict(distinct.pop())
