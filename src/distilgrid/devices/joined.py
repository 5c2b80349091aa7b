"""Imported measurements in the form of `benchmark.json`, for reports."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.devices.imported import PERCENTILES, Imported, Measurement, Skipped, Times

if TYPE_CHECKING:
    from distilgrid.benchmark.entries import Entry, ExportFolder, Model

log = logging.getLogger(__name__)


def as_benchmark(
    found: Imported, *, device: str, max_drift: float, models: "Sequence[Model]", exports: "Sequence[ExportFolder]" = ()
) -> dict[str, Any]:
    """The values of `benchmark.json` for imported measurements.

    Percentiles that were not sent are None; without raw samples, so are the values that follow from them. Measurements
    of other models are left out, with one line in the log. Those of exports that the parity gate rejected are left out,
    with the gate's reason in its entry.

    `device` is its name in paths. Samples that drift by more than `max_drift`, or of a less known median, are noisy.
    `models` decide names, roles and parameters; a measurement may also name its model by the files of an export.

    Raises UserError when no measurement is of one of the models, or two are of the same.
    """
    from distilgrid.benchmark.entries import Entry

    entries: dict[tuple[str, str], Entry] = {}
    sizes = {(e.run["recipe"]["inputs"]["model"], e.parity["runtime"]): e.parity["size_bytes"] for e in exports}
    others: list[str] = []
    for measurement in found.measurements:
        model = _model(measurement.model, models, exports)
        if model is None:
            others.append(measurement.model)
            continue
        at = model.run["key"], measurement.runtime_name
        entry = entries.setdefault(at, Entry(model, at[1], model.folder, sizes.get(at)))
        rejected = _rejection(measurement, model, exports)
        if rejected is not None:
            entry.skipped = f"export rejected: {rejected}"
            continue
        _refuse_second(entry, measurement, device)
        _add(entry, measurement, max_drift)
    if not entries:
        raise UserError(f"{device}: model {others[0]} is none of these models; was it sent for another grid?")
    if others:
        log.warning("%s: left out %d measurements of other models, the first of %s", device, len(others), others[0])
    return {
        "protocol": {"tool": found.tool, "date": found.date.isoformat()},
        "machine": found.device.model_dump(),
        "device": device,
        "entries": [entry.as_dict() for entry in entries.values()],
    }


def _model(named: str, models: "Sequence[Model]", exports: "Sequence[ExportFolder]") -> "Model | None":
    """The model with this key, or with a file of this SHA-256."""
    by_key = {model.run["key"]: model for model in models}
    by_file = {digest: model for model in models for digest in _weights(model.run)}
    for export in exports:
        model = by_key.get(export.run["recipe"]["inputs"]["model"])
        if model is not None:
            by_file |= dict.fromkeys(_weights(export.run), model)
    return by_key.get(named) or by_file.get(named)


def _rejection(measurement: Measurement, model: "Model", exports: "Sequence[ExportFolder]") -> str | None:
    """The parity gate's reason against the model's export for this runtime, or against the measured file."""
    for export in exports:
        if export.parity["accepted"] or export.run["recipe"]["inputs"]["model"] != model.run["key"]:
            continue
        if export.parity["runtime"] == measurement.runtime_name or measurement.model in _weights(export.run):
            return str(export.parity["reason"])
    return None


def _refuse_second(entry: "Entry", measurement: Measurement, device: str) -> None:
    """Refuse a second measurement of a model, named once by its key and once by a file."""
    if any(shape["threads"] == measurement.threads for shape in (*entry.shapes, *entry.skipped_shapes)):
        raise UserError(
            f"{device}: model {measurement.model}: another measurement, which names the model otherwise, is of the "
            f"same model, runtime '{measurement.runtime_name}' and {measurement.threads} threads; keep one of them"
        )


def _weights(run: Mapping[str, Any]) -> list[str]:
    """Digests of the model's own files; several models share a tokeniser."""
    return [digest for name, digest in run["files"].items() if name.startswith("model.")]


def _add(entry: "Entry", measurement: Measurement, max_drift: float) -> None:
    rows: list[Times | Skipped] = [*measurement.shapes, *measurement.skipped_shapes]
    for found in rows:
        at = {"kind": "shape", "threads": measurement.threads, "batch_size": found.batch_size, "length": found.length}
        if isinstance(found, Times):
            entry.shapes.append({**at, **_summary(found, max_drift)})
        else:
            entry.skip(at, found.reason)


def _summary(times: Times, max_drift: float) -> dict[str, Any]:
    """The fields of a measured shape in `benchmark.json`."""
    from distilgrid.benchmark.protocol import Series

    samples = times.samples_ms
    if samples is None:
        unknown = dict.fromkeys(("width", "drift", "turns", "noisy", "attempts", "energy_mj"))
        return {"n": times.n, **{name: getattr(times, name) for name in PERCENTILES}, **unknown, "samples_ms": []}
    size = times.turn or 1
    turns = [samples[start : start + size] for start in range(0, len(samples), size)]
    found = Series(turns).summary(max_drift=max_drift)
    if times.turn is None:  # successive runs are not independent, so they do not bound the median
        found |= {"width": None, "turns": None}
    return {"n": len(samples), **found}
