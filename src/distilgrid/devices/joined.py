"""Imported measurements in the form of our own: what a report reads beside `benchmark.json`."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.devices.imported import PERCENTILES, Imported, Measurement, Times

if TYPE_CHECKING:
    from distilgrid.benchmark.candidates import Export, Model

log = logging.getLogger(__name__)


def as_benchmark(
    found: Imported, *, device: str, max_drift: float, models: "Sequence[Model]", exports: "Sequence[Export]" = ()
) -> dict[str, Any]:
    """What `benchmark.json` would hold, had the measurements been made here.

    Percentiles that were not sent are None, and so is whatever follows from raw samples where only percentiles were.
    Measurements of other models are left out, with one line in the log; those of exports that the parity gate rejected
    too, with the gate's reason in the candidate's entry.

    Args:
        found: the measurements.
        device: the device's name in paths.
        max_drift: the protocol's; samples that drift further, or of a median not known to it, are called noisy.
        models: trained models; they decide names, roles and parameters.
        exports: their exports, by whose files a measurement may name its model, and whose sizes are known.

    Raises:
        UserError: when none of the measurements is of one of the models, or two are of the same.
    """
    candidates: dict[tuple[str, str], dict[str, Any]] = {}
    others: list[str] = []
    for measurement in found.measurements:
        model = _model(measurement.model, models, exports)
        if model is None:
            others.append(measurement.model)
            continue
        runtime = measurement.runtime_name
        entry = candidates.setdefault((model.run["key"], runtime), _describe(model, runtime, exports))
        rejected = _rejection(measurement, model, exports)
        if rejected is not None:
            entry["skipped"] = f"export rejected: {rejected}"
            continue
        _refuse_second(entry, measurement, device)
        _add(entry, measurement, max_drift)
    if not candidates:
        raise UserError(f"{device}: model {others[0]} is none of these models; was it sent for another grid?")
    if others:
        log.warning("%s: left out %d measurements of other models, the first of %s", device, len(others), others[0])
    return {
        "protocol": {"tool": found.tool, "date": found.date.isoformat()},
        "machine": found.device.model_dump(),
        "device": device,
        "candidates": [_whole(entry) for entry in candidates.values()],
    }


def _model(named: str, models: "Sequence[Model]", exports: "Sequence[Export]") -> "Model | None":
    """The model with a key, or of which a file has this SHA-256."""
    by_key = {model.run["key"]: model for model in models}
    by_file = {digest: model for model in models for digest in _weights(model.run)}
    for export in exports:
        model = by_key.get(export.run["recipe"]["inputs"]["model"])
        if model is not None:
            by_file |= dict.fromkeys(_weights(export.run), model)
    return by_key.get(named) or by_file.get(named)


def _rejection(measurement: Measurement, model: "Model", exports: "Sequence[Export]") -> str | None:
    """Why the parity gate rejected what was measured: the model's export for this runtime, or the very file."""
    for export in exports:
        if export.parity["accepted"] or export.run["recipe"]["inputs"]["model"] != model.run["key"]:
            continue
        if export.parity["runtime"] == measurement.runtime_name or measurement.model in _weights(export.run):
            return str(export.parity["reason"])
    return None


def _refuse_second(entry: Mapping[str, Any], measurement: Measurement, device: str) -> None:
    """One model may be named by its key and by its files; that is still one model."""
    if any(shape["threads"] == measurement.threads for shape in (*entry["shapes"], *entry["skipped_shapes"])):
        raise UserError(
            f"{device}: model {measurement.model}: another measurement, which names the model otherwise, is of the "
            f"same model, runtime '{measurement.runtime_name}' and {measurement.threads} threads; keep one of them"
        )


def _weights(run: Mapping[str, Any]) -> list[str]:
    """Digests of the model's own files; several models share a tokeniser."""
    return [digest for name, digest in run["files"].items() if name.startswith("model.")]


def _describe(model: "Model", runtime: str, exports: "Sequence[Export]") -> dict[str, Any]:
    sizes = {(e.run["recipe"]["inputs"]["model"], e.parity["runtime"]): e.parity["size_bytes"] for e in exports}
    return {
        "name": str(model.run["labels"]["student"]),
        "role": model.role,
        "runtime": runtime,
        "optimised": True,
        "parameters": model.metrics["parameters"],
        "size_bytes": sizes.get((model.run["key"], runtime)),
        "skipped": None,
        "footprint": None,
        "shapes": [],
        "skipped_shapes": [],
    }


def _add(entry: dict[str, Any], measurement: Measurement, max_drift: float) -> None:
    for times in measurement.shapes:
        shape = _shape(times.batch_size, times.length, measurement.threads)
        entry["shapes"].append({**shape, **_summary(times, max_drift)})
    for skipped in measurement.skipped_shapes:
        shape = _shape(skipped.batch_size, skipped.length, measurement.threads)
        entry["skipped_shapes"].append({**shape, "reason": skipped.reason})


def _shape(batch_size: int, length: int, threads: int) -> dict[str, Any]:
    return {"kind": "shape", "threads": threads, "batch_size": batch_size, "length": length}


def _summary(times: Times, max_drift: float) -> dict[str, Any]:
    """The fields of a measurement of ours."""
    from distilgrid.benchmark.protocol import Series

    samples = times.samples_ms
    if samples is None:
        unknown = dict.fromkeys(("width", "drift", "turns", "noisy", "attempts", "energy_mj"))
        return {"n": times.n, **{name: getattr(times, name) for name in PERCENTILES}, **unknown, "samples_ms": []}
    size = times.turn or 1
    turns = [samples[start : start + size] for start in range(0, len(samples), size)]
    found = Series(turns).summary(max_drift=max_drift)
    if times.turn is None:  # runs in a row are no independent observations, so they do not bound the median
        found |= {"width": None, "turns": None}
    return {"n": len(samples), **found}


def _whole(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry; a candidate with no shape left is skipped as a whole."""
    if entry["skipped_shapes"] and not entry["shapes"]:
        entry["skipped"] = entry["skipped_shapes"][0]["reason"]
    return entry
