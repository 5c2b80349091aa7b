"""Command lines and output of the benchmark programs for phones. Pure functions.

Written after reading these sources:

- LiteRT `benchmark_model`: `tflite/tools/benchmark` of google-ai-edge/LiteRT, f674577 (August 2026), v2.1.0 to v2.2.0;
  the line of statistics against `xla/tsl/util/stats_calculator.h`. The program of the same name in `litert/tools` lacks
  `--input_layer_shape` and `--input_layer_value_files`, so it cannot be used.
- ExecuTorch `executor_runner`: pytorch/executorch v1.3.0 to v1.4.1 and cff6f4d (August 2026). Before 1.3 it prints no
  times of single runs. `--input_shapes`, for inputs smaller than the file's bounds, came with pull request 22411
  (September 2026).

Nobody has run these command lines on a phone.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from distilgrid.devices.android.declared import Feed
from distilgrid.devices.imported import Times
from distilgrid.runtimes.base import UnsupportedError

ITERATION = re.compile(r"Iteration (\d+) of \d+: ([0-9.]+) ms")
STATISTIC = re.compile(r"(\w+)=([0-9.e+-]+)")
UNKNOWN_FLAG = "unknown command line flag 'input_shapes'"


def litert_command(
    *, program: str, model: str, feed: Feed, files: Sequence[str], threads: int, warmup: int, repetitions: int
) -> list[str]:
    """`benchmark_model` on the inputs of `feed` and XNNPACK, for an exact number of untimed and timed runs.

    All paths are on the phone; `files` hold the contents of the inputs, in order.
    """
    names = [f"input_{number}" for number in range(len(files))]  # only their order counts
    shapes = [",".join(map(str, shape)) for shape in feed.shapes]
    return [
        program,
        f"--graph={model}",
        *([f"--signature_to_run_for={feed.signature.name}"] if feed.several else []),
        f"--input_layer={','.join(names)}",
        f"--input_layer_shape={':'.join(shapes)}",
        f"--input_layer_value_files={','.join(f'{n}:{f}' for n, f in zip(names, files, strict=True))}",
        f"--num_threads={threads}",
        f"--warmup_runs={warmup}",
        "--warmup_min_secs=0",  # the defaults add runs for half a second and one
        f"--num_runs={repetitions}",
        "--min_secs=0",
        "--use_xnnpack=true",
    ]


def executorch_command(
    *, program: str, model: str, feed: Feed, files: Sequence[str], threads: int, warmup: int, repetitions: int
) -> list[str]:
    """`executor_runner` on given inputs. It has no warm-up, so the warm-up adds runs. Arguments: as above."""
    shapes = ",".join("x".join(map(str, shape)) for shape in feed.shapes)
    return [
        program,
        f"--model_path={model}",
        f"--method_name={feed.signature.name}",
        f"--inputs={','.join(files)}",
        *([f"--input_shapes={shapes}"] if feed.smaller else []),
        f"--num_executions={warmup + repetitions}",
        f"--cpu_threads={threads}",
        "--print_output=none",
    ]


def litert_times(output: str, *, batch_size: int, length: int, **_: int) -> Times:
    """Median and p95 from `benchmark_model`'s last line of statistics (timed runs, microseconds), which must exist."""
    lines = [line for line in output.splitlines() if "count=" in line and "median=" in line]
    if not lines:
        raise UnsupportedError(f"benchmark_model told no latency: {last_words(output)}")
    found = {name: float(value) for name, value in STATISTIC.findall(lines[-1])}
    if found["count"] < 1 or found["median"] < 1:
        raise UnsupportedError("benchmark_model made no timed run, or its clock of microseconds is too coarse")
    p50, p95 = found["median"] / 1e3, found["p95"] / 1e3
    return Times(batch_size=batch_size, length=length, n=int(found["count"]), p50_ms=p50, p95_ms=p95)


def executorch_times(output: str, *, batch_size: int, length: int, warmup: int, repetitions: int) -> Times:
    """Single runs from `executor_runner`'s log, without the warm-up; UnsupportedError when runs are missing."""
    numbered = [(int(number), float(ms)) for number, ms in ITERATION.findall(output)]
    begun = max((place for place, (number, _) in enumerate(numbered) if number == 1), default=0)
    times = [ms for _, ms in numbered[begun:]]  # a phone's log may also hold the previous run
    if UNKNOWN_FLAG in output:
        raise UnsupportedError("inputs smaller than the file's bounds need an executor_runner that has --input_shapes")
    if len(times) != warmup + repetitions:
        raise UnsupportedError(
            f"executor_runner told {len(times)} of {warmup + repetitions} runs: {last_words(output)}; build it from "
            "ExecuTorch 1.3 or newer with EXECUTORCH_ENABLE_LOGGING=ON"
        )
    return Times(batch_size=batch_size, length=length, samples_ms=times[warmup:])


def last_words(output: str) -> str:
    """The last line of a program's output, shortened."""
    lines = output.strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it wrote nothing"


class Program(NamedTuple):
    """How to run exports of an engine: name of their file, command line, and times from the output."""

    file: str
    command: Callable[..., list[str]]
    times: Callable[..., Times]


PROGRAMS = {
    "litert": Program("model.tflite", litert_command, litert_times),
    "executorch": Program("model.pte", executorch_command, executorch_times),
}
