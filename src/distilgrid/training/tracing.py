"""A trace of some training steps, for a look at where their time goes."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

SKIPPED, TRACED = 5, 5  # steps; the first ones still fill caches


@contextlib.contextmanager
def tracing(path: Path | None) -> Iterator[Callable[[], None]]:
    """Yields what to call after each step; writes a trace that https://ui.perfetto.dev shows. None traces nothing."""
    if path is None:
        yield lambda: None
        return
    from torch.profiler import profile, schedule

    path.parent.mkdir(parents=True, exist_ok=True)
    plan = schedule(wait=SKIPPED - 1, warmup=1, active=TRACED, repeat=1)
    with profile(schedule=plan, on_trace_ready=lambda p: p.export_chrome_trace(str(path))) as profiler:
        yield profiler.step
