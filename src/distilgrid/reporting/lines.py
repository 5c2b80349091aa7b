"""Lines of tables: one for each task, teacher, method, student, augmentation and fraction, over all seeds."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from distilgrid.benchmark.labels import device_label, processor_of
from distilgrid.core.planned import TEACHER, Artefact, listed
from distilgrid.devices.settings import ImportDevice
from distilgrid.plan.expand import Plan
from distilgrid.plan.settings import Grid
from distilgrid.plan.teachers import teacher_names
from distilgrid.reporting.collect import Collected, FinishedArtefact, TrainedModel
from distilgrid.reporting.scoring import Scoring, scoring
from distilgrid.runtimes.base import IMAGE_LENGTH
from distilgrid.runtimes.registry import REFERENCE

AXES = ("task", "teacher", "method", "student", "augmentation", "fraction")
DEFAULTS = {"augmentation": "none", "fraction": 1.0}  # a teacher sees original rows only

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Speed:
    """Median latency of one batch, and its speed-up over the teacher."""

    latency_ms: float  # p50
    error_ms: float | None  # half the width of the median's confidence interval; None with too few measurements
    same: float | None  # speed-up over the teacher in the same runtime; None when the teacher was not measured there
    torch: float | None  # speed-up over the teacher in torch; None when the teacher was not measured there


@dataclass(frozen=True, eq=False)
class Line:
    """A model in tables, trained once for each seed."""

    key: Key  # values of `AXES`
    name: str  # the student or teacher, with the axes that vary within its task, except the method
    models: tuple[TrainedModel, ...]  # one for each seed
    exports: dict[str, tuple[FinishedArtefact, ...]]  # accepted exports by runtime
    rejected: tuple[str, ...]  # runtimes whose exports were all rejected
    speeds: dict[str, Speed]  # latencies by runtime

    @cached_property
    def labels(self) -> dict[str, Any]:
        """The values of the axes by name."""
        return dict(zip(AXES, self.key, strict=True))

    @property
    def is_teacher(self) -> bool:
        """Whether this is the task's teacher."""
        return bool(self.labels["method"] == TEACHER)

    @property
    def shares_streams(self) -> bool:
        """Whether equal seeds of two lines mean the same initialisation and order of rows (`core.fingerprint`)."""
        return True

    @property
    def anchor(self) -> str:
        """The page's anchor for the provenance of the line."""
        return f"made-{self.models[0].artefact.folder.replace('/', '-')}"

    @property
    def facts(self) -> dict[str, Any]:
        """`metrics.json` of the first seed, for values that do not depend on the seed."""
        return self.models[0].metrics

    @property
    def scoring(self) -> Scoring:
        """The notation of the main score."""
        return scoring(self.facts["score_name"])

    @cached_property
    def scores(self) -> list[float]:
        """The main score of each seed."""
        return [model.metrics["score"] for model in self.models]

    @property
    def failed(self) -> int:
        """The number of seeds whose model answers the same for every row: it learned nothing."""
        return sum(model.metrics.get("constant", False) for model in self.models)

    @property
    def score(self) -> float:
        """The mean main score over seeds."""
        return statistics.fmean(self.scores)

    @property
    def dev(self) -> float:
        """The mean of the main metric on dev over seeds. Choices go by it, reports by `score`."""
        return statistics.fmean(dev_score(model.metrics) for model in self.models)

    @property
    def dev_merit(self) -> float:
        """The mean score on dev, higher for better lines."""
        return self.scoring.merit(self.dev)

    def values(self, split: str, metric: str) -> list[float]:
        """A metric on a validation split for each seed."""
        return [model.metrics["validation"][split][metric] for model in self.models]

    def export_score(self, runtime: str) -> float | None:
        """The mean main score of the accepted exports for a runtime."""
        scores = [export.values["score"] for export in self.exports.get(runtime, ())]
        return statistics.fmean(scores) if scores else None

    def export_change(self, runtime: str) -> float | None:
        """The export's main score less torch's, averaged over the exported seeds."""
        found = [export.values for export in self.exports.get(runtime, ())]
        return statistics.fmean(v["score"] - v["torch_score"] for v in found) if found else None

    def export_dev(self, runtime: str) -> float | None:
        """The mean of the main metric on dev of the accepted exports for a runtime."""
        scores = [dev_score(export.values) for export in self.exports.get(runtime, ())]
        return statistics.fmean(scores) if scores else None

    def export_dev_change(self, runtime: str) -> float | None:
        """The export's main metric on dev less that of its model, averaged over the exported seeds."""
        own = {model.artefact.folder: dev_score(model.metrics) for model in self.models}
        found = self.exports.get(runtime, ())
        changes = [dev_score(each.values) - own[listed(each.artefact.inputs["model"])[0].folder] for each in found]
        return statistics.fmean(changes) if changes else None


def first_teacher(key: Key) -> str:
    """The teacher that a line is compared with."""
    return teacher_names(key[1])[0]


def dev_score(metrics: Mapping[str, Any]) -> float:
    """The main metric on dev, from `metrics.json` or `parity.json`. Validation scores of choices by it are unbiased."""
    return float(metrics["dev"][metrics["score_name"]])


def spread(values: list[float]) -> float | None:
    """The sample standard deviation over seeds; None for a single one."""
    return statistics.stdev(values) if len(values) > 1 else None


def make_lines(collected: Collected) -> list[Line]:
    """All lines. Each task has its teacher first, then its methods student by student."""
    grouped: dict[Key, list[TrainedModel]] = {}
    for model in collected.models:
        grouped.setdefault(_key(model.artefact.labels), []).append(model)
    ordered = sorted(grouped, key=lambda key: _order(collected.plan.params.grid, key))
    return [_line(collected, key, tuple(grouped[key])) for key in ordered]


def _key(labels: Any) -> Key:
    return tuple(labels.get(axis, DEFAULTS.get(axis)) for axis in AXES)


def _order(grid: Grid, key: Key) -> tuple[Any, ...]:
    task, teacher, method, student, augmentation, fraction = key
    place = (grid.tasks.index(task), [*grid.teacher_names, *grid.teacher_labels].index(teacher))
    if method == TEACHER:  # it may see all rows when no student does
        return (*place, 0, grid.fractions.index(fraction) if fraction in grid.fractions else -1)
    variant = (grid.students.index(student), grid.augmentations.index(augmentation), grid.fractions.index(fraction))
    return (*place, 1, *variant, grid.methods.index(method))


def _line(collected: Collected, key: Key, models: tuple[TrainedModel, ...]) -> Line:
    own = {model.artefact.folder for model in models}
    exports: dict[str, list[FinishedArtefact]] = {}
    for export in collected.exports:
        exported = export.artefact.inputs["model"]
        if isinstance(exported, Artefact) and exported.folder in own:
            exports.setdefault(str(export.artefact.labels["runtime"]), []).append(export)
    accepted = {runtime: tuple(e for e in listed if e.values["accepted"]) for runtime, listed in exports.items()}
    rejected = tuple(runtime for runtime, listed in accepted.items() if not listed)
    return Line(
        key=key,
        name=_name(collected.plan, key),
        models=models,
        exports={runtime: listed for runtime, listed in accepted.items() if listed},
        rejected=rejected,
        speeds={runtime: speed for runtime, speed in _speeds(collected, key).items() if runtime not in rejected},
    )


def _name(plan: Plan, key: Key) -> str:
    """The student with the axes that vary within its task, or the teacher with its share of the rows if it varies."""
    task, teacher, method, student, augmentation, fraction = key
    share = [f"{100 * fraction:g} % of rows"] if _varies(plan, task, "fraction") else []
    if method == TEACHER:
        student, parts = teacher, share if plan.params.teachers[teacher].rows == "students" else []
    else:
        parts = [f"from {teacher}"] if _varies(plan, task, "teacher") else []
        parts += [f"with {augmentation}"] if _varies(plan, task, "augmentation") else []
        parts += share
    return f"{student} ({', '.join(parts)})" if parts else str(student)


def _varies(plan: Plan, task: str, axis: str) -> bool:
    """Whether a task's students have several values of an axis. A task may skip values that the grid lists."""
    return len({student.labels[axis] for student in plan.students if student.labels["task"] == task}) > 1


def shape(collected: Collected, task: str) -> tuple[int, int]:
    """The batch size and the length in a task's tables: the smallest batch and the longest length that were measured.

    A length counts tokens. Images have IMAGE_LENGTH.
    """
    threads, found = main_threads(collected), _entries(collected, task=task)
    measured = [(s["batch_size"], s["length"]) for entry in found for s in fixed_shapes(entry, threads)]
    if not measured:
        return 1, IMAGE_LENGTH if collected.reads_images(task) else max(collected.plan.params.benchmark.lengths)
    return min(batch for batch, _ in measured), max(length for _, length in measured)


def main_threads(collected: Collected) -> int:
    """The number of threads in main tables: the first one of the first device, or 1 for an imported device."""
    device = collected.plan.devices[collected.plan.params.benchmark.devices[0]]
    return 1 if isinstance(device, ImportDevice) else device.threads[0]


def benchmark_label(benchmark: FinishedArtefact, collected: Collected) -> str:
    """The machine of a measurement, as tables name it."""
    values = benchmark.values
    threads, processor = main_threads(collected), processor_of(values)
    return device_label(values["machine"], threads=threads, kind=values["kind"], processor=processor)


def fixed_shapes(entry: Mapping[str, Any], threads: int) -> list[dict[str, Any]]:
    """An entry's measurements with `threads` threads at fixed batch sizes and lengths."""
    return [s for s in entry["shapes"] if s["kind"] == "shape" and s["threads"] == threads]


def _speeds(collected: Collected, key: Key) -> dict[str, Speed]:
    (task, _, method, student), teacher = key[:4], first_teacher(key)
    shown, threads = shape(collected, task), main_threads(collected)
    usual = [entry for entry in _entries(collected, task=task, teacher=teacher) if entry["optimised"]]
    role = TEACHER if method == TEACHER else "student"
    reference = _latencies(usual, TEACHER, teacher, shown, threads)
    own = _latencies(usual, role, student, shown, threads)
    speeds = {}
    for runtime, (ms, width) in own.items():
        same, torch = (reference[name][0] / ms if name in reference else None for name in (runtime, REFERENCE))
        speeds[runtime] = Speed(ms, None if width is None else ms * width / 2, same, torch)
    return speeds


def _entries(collected: Collected, **labels: str) -> list[dict[str, Any]]:
    found = [b for b in collected.main_benchmarks if labels.items() <= b.artefact.labels.items()]
    return [entry for benchmark in found for entry in benchmark.values["entries"]]


def _latencies(
    entries: Iterable[dict[str, Any]], role: str, name: str, wanted: tuple[int, int], threads: int
) -> dict[str, tuple[float, float | None]]:
    """p50 in ms, and the relative width of its interval, by runtime at one shape."""
    return {
        entry["runtime"]: (measured["p50_ms"], measured.get("width"))
        for entry in entries
        if entry["role"] == role and entry["name"] == name and not entry["skipped"]
        for measured in fixed_shapes(entry, threads)
        if (measured["batch_size"], measured["length"]) == wanted
    }
