"""Stage `benchmark`: the latency of trained models on every runtime, measured side by side in one process."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilgrid.benchmark.entries import Entry, ExportFolder, Model, list_entries, open_export, open_model
from distilgrid.benchmark.footprint import gpu_name
from distilgrid.benchmark.labels import shape_words
from distilgrid.benchmark.pinning import alone, pinned
from distilgrid.benchmark.protocol import BURST, PRIMING
from distilgrid.benchmark.settings import Benchmark
from distilgrid.benchmark.shapes import Texts, choose_texts, measure_shapes, open_entries
from distilgrid.core.artefacts import write_json
from distilgrid.core.machine import describe_machine
from distilgrid.devices.android.phone import measure_on_phone
from distilgrid.devices.android.settings import AdbDevice
from distilgrid.devices.imported import read_import
from distilgrid.devices.joined import as_benchmark
from distilgrid.devices.settings import ImportDevice, LocalDevice
from distilgrid.stages.benchmark.declare import BenchmarkSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.dataset import open_dataset
from distilgrid.tasks.model_inputs import SEED

log = logging.getLogger(__name__)


def benchmark(settings: BenchmarkSettings, job: Job) -> dict[str, Any]:
    """Measure the models and their exports; returns what `benchmark.json` holds.

    Raises:
        UserError: when an input is damaged or an export belongs to none of the models. Also when a runtime's packages
            are missing, or the process may not use as many cores as the protocol says.
    """
    protocol, where = settings.protocol, settings.device
    trained = [open_model(folder) for folder in job.folders("model")]
    converted = [open_export(folder, trained) for folder in job.folders("export")]
    if isinstance(where, LocalDevice):
        texts = _texts(protocol, trained, job.folder_of("data"))
        result = _run(protocol, where, list_entries(trained, converted, protocol, where.processor), texts)
    else:
        result = _elsewhere(settings, trained, converted)
    result = {"device": settings.name, "kind": where.kind, **result}
    write_json(job.folder / "benchmark.json", result)
    return result


def _texts(protocol: Benchmark, models: Sequence[Model], data: Path | None) -> Texts | None:
    """The texts to measure; None for images, or where none are wanted."""
    if not protocol.texts or data is None:
        return None
    dataset = open_dataset(data)
    if not dataset.task_kind.tokenised:
        return None
    longest = min(model.run["recipe"]["training"]["max_length"] for model in models)
    return choose_texts(dataset, models[0].folder, count=protocol.texts, longest=longest)


def _run(settings: Benchmark, device: LocalDevice, entries: list[Entry], texts: Texts | None) -> dict[str, Any]:
    cores: dict[int, list[int]] = {}
    machine, before = describe_machine() | gpu_name(device.processor), os.getloadavg()
    with alone():
        for threads in sorted(device.threads, reverse=True):  # OpenVINO counts the cores of a process only once
            with pinned(threads, settings.cores) as cores[threads]:
                open_entries(entries, settings, threads=threads, processor=device.processor)
                measure_shapes(entries, settings, threads=threads, processor=device.processor, texts=texts)
    _warn(entries)
    return {
        "protocol": {**settings.model_dump(), "priming": PRIMING, "burst": BURST, "seed": SEED},
        "cores": [{"threads": threads, "cores": used} for threads, used in cores.items()],
        "machine": machine,
        "processor": device.processor,
        "load_average": {"before": list(before), "after": list(os.getloadavg())},
        "entries": [entry.as_dict() for entry in entries],
    }


def _elsewhere(settings: BenchmarkSettings, models: list[Model], exports: list[ExportFolder]) -> dict[str, Any]:
    """What a phone measures now, or another device measured before."""
    where, protocol = settings.device, settings.protocol
    if isinstance(where, ImportDevice):
        found = read_import(Path(where.file))
    else:
        assert isinstance(where, AdbDevice), "this machine measures itself"
        by_key = {model.run["key"]: model for model in models}
        pairs = [(by_key[export.run["recipe"]["inputs"]["model"]], export) for export in exports]
        found = measure_on_phone(where, protocol=protocol, exports=pairs)
    return as_benchmark(found, device=settings.name, max_drift=protocol.max_drift, models=models, exports=exports)


def _warn(entries: Sequence[Entry]) -> None:
    """A line when measurements stayed noisy, whose numbers stay, and one for each that was not made."""
    shapes = [shape for entry in entries for shape in entry.shapes]
    noisy = [max(abs(shape["drift"]), shape["width"] or 0.0) for shape in shapes if shape["noisy"]]
    if noisy:
        log.warning(
            "noisy machine: %d of %d measurements drift or are not well known to the last, by up to %.0f %%; "
            "measure again when nothing else runs",
            len(noisy),
            len(shapes),
            100 * max(noisy),
        )
    for entry in entries:
        name = f"{entry.name}, {entry.runtime}"
        if entry.skipped is not None:
            log.warning("%s: not measured: %s", name, entry.skipped)
        for shape in entry.skipped_shapes:
            log.warning("%s: not measured at %s: %s", name, shape_words(shape), shape["reason"])
