"""Traces of some training steps, which show where their time goes."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

SKIPPED, TRACED = 5, 5  # steps; the first ones still fill caches


@contextlib.contextmanager
def tracing(path: Path | None) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each step; write a trace for https://ui.perfetto.dev. None traces nothing."""
    if path is None:
        yield lambda: None
        return
    from torch.profiler import profile, schedule

    path.parent.mkdir(parents=True, exist_ok=True)
    plan = schedule(wait=SKIPPED - 1, warmup=1, active=TRACED, repeat=1)
    with profile(schedule=plan, on_trace_ready=lambda p: p.export_chrome_trace(str(path))) as profiler:
        yield profiler.step
