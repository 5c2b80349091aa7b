"""Models whose layers differ in width on every runtime: torch's logits at any shape."""

from pathlib import Path

import pytest
import torch
from tests.unit.layered import layered
from tests.unit.mobile_models import LONGEST, SHAPES, agreement, differences

from distilgrid.runtimes.base import RunOptions, Sample, UnsupportedError
from distilgrid.runtimes.registry import RUNTIMES, find_runtime, missing_packages, open_exporter, open_runtime

MODEL = layered(hidden=(32, 16, 24), feed_forward=(48, 8, 40), max_position_embeddings=LONGEST)
SLOW = ("torch-compile-fp32", "executorch-int8", "litert-int8")
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
    for name, entry in RUNTIMES.items()
    if "cpu" in entry.processors
]


def texts(batch: int, length: int) -> dict[str, torch.Tensor]:
    """Random tokens; the last row is padded from its middle on."""
    ids = torch.randint(5, 40, (batch, length))
    mask = torch.ones_like(ids)
    mask[-1, (length + 1) // 2 :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_torchs(name: str, tmp_path: Path) -> None:
    entry = find_runtime(name)
    missing = missing_packages(entry.packages + entry.converters)
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    if entry.exported:
        calibration = [texts(1, length) for length in range(8, LONGEST)]
        open_exporter(name).export(MODEL, Sample(texts(2, 12), calibration, LONGEST), tmp_path)
    else:
        MODEL.save_pretrained(tmp_path)
    try:
        session = open_runtime(name)(tmp_path, RunOptions())
    except UnsupportedError as reason:
        pytest.skip(str(reason))
    torch.manual_seed(0)
    largest = max(differences(MODEL, session, texts(batch, length)) for batch, length in SHAPES)
    assert largest < (1e-4 if entry.exact else 1)
    if not entry.exact:
        assert agreement(MODEL, session, texts(40, 12)) > 0.85
    if name == "onnxruntime-fp32":
        plain = open_runtime(name)(tmp_path, RunOptions(optimised=False))
        assert differences(MODEL, plain, texts(3, 9)) < 1e-4
