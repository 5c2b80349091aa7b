"""Summaries of tracking while the store is down, which let the job count as not done. Light: no MLflow."""

import json
from pathlib import Path

SUMMARY, WAITING = "summary.json", "waiting"


def forget_if_waiting(summary: Path) -> None:
    """Remove the summary of a call without a store, so that the workflow tracks again."""
    try:
        waits = WAITING in json.loads(summary.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return
    if waits:
        summary.unlink(missing_ok=True)
