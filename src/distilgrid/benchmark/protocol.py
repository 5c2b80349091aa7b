"""The latency protocol: pinned, warmed up, in turns, every sample kept.

Candidates take turns (ABAB), so a machine that slows down slows all of them alike. A turn is a short burst whose first
runs are not timed: a single run right after another model's took a 3-layer MiniLM at length 32 about 1.5 times as long
as steady running does, which is what a device that serves one model sees.
"""

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from distilgrid.errors import UserError
from distilgrid.machine import usable_cores
from distilgrid.progress import progress

PRIMING = 3
"""Untimed runs at the start of each turn."""
BURST = 5
"""Timed runs of each turn."""
SEED = 0
"""Of the inputs and of the order of turns."""

Run = Callable[[], object]


def measure(runs: Sequence[Run], *, warmup: int, repetitions: int, label: str) -> list[list[float]]:
    """Times of calls in ms, in the order taken: `repetitions` for each of the runs.

    Args:
        runs: the candidates' calls.
        warmup: calls of each candidate before anything is timed.
        repetitions: timed calls of each candidate, in turns of up to 5; a seed shuffles the order of each round.
        label: names the work on the progress line.
    """
    for run in runs:
        for _ in range(warmup):
            run()
    order = np.random.default_rng(SEED)
    samples: list[list[float]] = [[] for _ in runs]
    starts = range(0, repetitions, BURST)
    with _no_garbage_collection():
        for start in progress(starts, total=len(starts), label=label):
            for index in order.permutation(len(runs)):
                samples[index] += _turn(runs[index], min(BURST, repetitions - start))
    return samples


def _turn(run: Run, timed: int) -> list[float]:
    for _ in range(PRIMING):
        run()
    times = []
    for _ in range(timed):
        before = time.perf_counter_ns()
        run()
        times.append((time.perf_counter_ns() - before) / 1e6)
    return times


def summary(samples: Sequence[float]) -> dict[str, Any]:
    """The raw samples in ms, and their median and 90th percentile."""
    p50, p90 = np.percentile(samples, [50, 90]).round(5).tolist()
    return {"samples_ms": [round(sample, 5) for sample in samples], "p50_ms": p50, "p90_ms": p90}


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[list[int]]:
    """Hold this process to as many cores and torch threads as the protocol says; yields the cores' numbers.

    Load models inside, so that worker threads that a runtime starts inherit the cores.

    Raises:
        UserError: when the process may not use so many cores.
    """
    if threads > usable_cores():
        raise UserError(f"benchmark.threads: {threads}, but this process may use {usable_cores()} cores; set it lower")
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set[int]()
    cores = sorted(allowed)[-threads:]  # the first core often serves interrupts
    torch_threads = torch.get_num_threads()
    try:
        if cores:
            os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)
        yield cores
    finally:
        if cores:
            os.sched_setaffinity(0, allowed)
        torch.set_num_threads(torch_threads)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
