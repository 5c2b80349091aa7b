"""Static int8 and fp16 on ONNX Runtime, and bf16 on torch, on tiny random models."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from tests.unit.word_models import CONFIGS, VOCABULARY
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from distilgrid.models.io import save_model
from distilgrid.models.plain_cnn import PlainCnn, PlainConfig
from distilgrid.models.resnet import ResNet, ResNetConfig
from distilgrid.runtimes.base import RunOptions, Sample, Session, UnsupportedError
from distilgrid.runtimes.onnx_export import HalfExporter, OnnxExporter, StaticInt8Exporter
from distilgrid.runtimes.onnxruntime import MODEL_FILE, OnnxSession
from distilgrid.runtimes.registry import open_runtime
from distilgrid.runtimes.torch_eager import load_bf16, load_exact

Inputs = dict[str, Tensor]
IMAGES: dict[str, Callable[[], PreTrainedModel]] = {
    "resnet": lambda: ResNet(ResNetConfig(image_size=(8, 8), num_labels=3, shortcut="A")),
    "plain": lambda: PlainCnn(PlainConfig(image_size=(8, 8), num_labels=3, layers="8 M 16 | 12")),
}
TEXTS, ALL = list(CONFIGS), [*CONFIGS, *IMAGES]
ROWS, PIXELS = 40, "pixel_values"


def tiny(kind: str) -> PreTrainedModel:
    """A model whose logits differ much between inputs."""
    torch.manual_seed(1)
    if kind in CONFIGS:
        config = CONFIGS[kind](initializer_range=0.3)
        return AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    model = IMAGES[kind]()
    for _ in range(20):  # statistics of batch norm
        model.train()(torch.randint(256, (32, 3, 8, 8), dtype=torch.uint8))
    return model.eval()


def rows_of(kind: str, count: int = ROWS, *, seed: int = 0) -> list[Inputs]:
    """Single random inputs, texts of different lengths."""
    draw = torch.Generator().manual_seed(seed)
    if kind in IMAGES:
        pixels = torch.randint(256, (count, 8, 8, 3), generator=draw).to(torch.uint8).permute(0, 3, 1, 2)
        return [{PIXELS: image[None]} for image in pixels]  # channels last in memory, as images are read
    lengths = torch.randint(2, 25, (count,), generator=draw).tolist()
    return [named(kind, torch.randint(5, len(VOCABULARY), (1, length), generator=draw)) for length in lengths]


def named(kind: str, ids: Tensor) -> Inputs:
    inputs = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    return inputs | ({"token_type_ids": torch.zeros_like(ids)} if kind == "bert" else {})


def padded(kind: str, rows: Sequence[Inputs]) -> Inputs:
    if kind in IMAGES:
        return {PIXELS: torch.cat([row[PIXELS] for row in rows])}
    ids = [row["input_ids"][0] for row in rows]
    return named(kind, torch.nn.utils.rnn.pad_sequence(ids, batch_first=True))


def sample_of(kind: str, calibration: Sequence[Inputs]) -> Sample:
    return Sample(padded(kind, rows_of(kind, 2, seed=7)), calibration, None if kind in IMAGES else 24)


def arrays(inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in inputs.items()}


def logits_of(session: Session, rows: Sequence[Inputs]) -> np.ndarray:
    return np.concatenate([session.bind(arrays(row))() for row in rows])


def torch_logits(model: PreTrainedModel, rows: Sequence[Inputs]) -> np.ndarray:
    with torch.inference_mode():
        return np.concatenate([model(**row).logits.numpy() for row in rows])


def error(actual: np.ndarray, expected: np.ndarray) -> float:
    """The mean difference of logits, as a share of how much they vary between rows."""
    assert actual.dtype == np.float32 and actual.shape == expected.shape
    return float(np.abs(actual - expected).mean() / expected.std(axis=0).mean())


class Case:
    """A tiny model with its exports, made once."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.model = kind, folder, tiny(kind)
        self.rows = rows_of(kind)
        self.expected = torch_logits(self.model, self.rows)
        for name, exporter in {"fp32": OnnxExporter(), "int8": StaticInt8Exporter(), "fp16": HalfExporter()}.items():
            (folder / name).mkdir()
            exporter.export(self.model, sample_of(kind, rows_of(kind, 16, seed=3)), folder / name)
        (folder / "trained").mkdir()
        save_model(self.model, None, folder / "trained")

    def session(self, name: str) -> Session:
        if name == "bf16":
            return load_bf16(self.folder / "trained", RunOptions())
        return OnnxSession(self.folder / name, RunOptions())

    def error(self, name: str) -> float:
        return error(logits_of(self.session(name), self.rows), self.expected)

    def graph(self, name: str) -> onnx.GraphProto:
        return onnx.load(self.folder / name / MODEL_FILE).graph


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    made: dict[str, Case] = {}

    def case(kind: str) -> Case:
        if kind not in made:
            made[kind] = Case(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return case


# What each precision allows, and what fp32 would stay below.
BANDS = {"int8": (1e-3, 0.15), "fp16": (1e-5, 5e-3), "bf16": (1e-4, 0.05)}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("name", BANDS)
def test_logits_differ_from_torchs_by_what_the_precision_allows(
    name: str, kind: str, cases: Callable[[str], Case]
) -> None:
    low, high = BANDS[name]
    found = cases(kind).error(name)
    assert low < found < high
    assert cases(kind).error("fp32") < 1e-5


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("name", BANDS)
def test_a_row_has_the_same_logits_among_others(name: str, kind: str, cases: Callable[[str], Case]) -> None:
    case = cases(kind)
    session, few = case.session(name), case.rows[:6]
    together = session.bind(arrays(padded(kind, few)))()
    assert error(together, logits_of(session, few)) < BANDS[name][1] / 5


@pytest.mark.parametrize("name", ["fp32", *BANDS])
def test_the_next_call_leaves_earlier_logits_alone(name: str, cases: Callable[[str], Case]) -> None:
    case = cases("bert")
    first, second = (case.session(name).bind(arrays(row)) for row in case.rows[:2])
    logits = first()
    before = logits.copy()
    second(), first(), second()
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("kind", ALL)
def test_quantised_and_half_files_are_smaller(kind: str, cases: Callable[[str], Case]) -> None:
    def weights(name: str) -> int:
        return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in case.graph(name).initializer)

    case = cases(kind)
    assert weights("int8") < 0.4 * weights("fp32")
    assert weights("fp16") < 0.55 * weights("fp32")
    if kind in TEXTS:  # tiny networks of images are mostly graph
        size = {name: (case.folder / name / MODEL_FILE).stat().st_size for name in ("fp32", "int8", "fp16")}
        assert size["int8"] < size["fp16"] < size["fp32"]


@pytest.mark.parametrize("kind", ["bert", "resnet"])
def test_equal_weights_and_rows_give_equal_bytes(kind: str, cases: Callable[[str], Case], tmp_path: Path) -> None:
    case = cases(kind)
    for name, exporter in (("int8", StaticInt8Exporter()), ("fp16", HalfExporter())):
        exporter.export(case.model, sample_of(kind, rows_of(kind, 16, seed=3)), tmp_path)
        assert (tmp_path / MODEL_FILE).read_bytes() == (case.folder / name / MODEL_FILE).read_bytes()


@pytest.mark.parametrize("kind", TEXTS)
def test_static_int8_of_texts_has_weights_and_embeddings_in_int8(kind: str, cases: Callable[[str], Case]) -> None:
    initializers = {tensor.name: tensor for tensor in cases(kind).graph("int8").initializer}
    large = {tensor.data_type for tensor in initializers.values() if np.prod(tensor.dims) >= 32 * 32}
    assert large == {TensorProto.INT8, TensorProto.UINT8}
    after = StaticInt8Exporter().graph(cases(kind).folder / "int8").after
    assert after["MatMul"] + after.get("FusedMatMul", 0) == 4, "the products of attention, two for each of two layers"
    assert after["MatMulIntegerToFloat"] + after.get("QGemm", 0) >= 13


@pytest.mark.parametrize("kind", ALL)
def test_int8_weights_use_seven_bits_so_that_no_cpu_overflows(kind: str, cases: Callable[[str], Case]) -> None:
    initializers = cases(kind).graph("int8").initializer
    weights = [onnx.numpy_helper.to_array(t) for t in initializers if t.data_type == TensorProto.INT8]
    large = [values for values in weights if values.ndim > 1]
    assert large and max(np.abs(values.astype(int)).max() for values in large) == 64


@pytest.mark.parametrize("kind", IMAGES)
def test_static_int8_quantises_convolutions(kind: str, cases: Callable[[str], Case]) -> None:
    case = cases(kind)
    count = sum(node.op_type == "Conv" for node in case.graph("fp32").node)
    after = StaticInt8Exporter().graph(case.folder / "int8").after
    assert count > 0 and after["QLinearConv"] == count and "Conv" not in after
    assert "Relu" not in after and "Add" not in after


@pytest.mark.parametrize("kind", ["distilbert", "plain"])
def test_ranges_come_from_the_calibration_rows(kind: str, cases: Callable[[str], Case], tmp_path: Path) -> None:
    case = cases(kind)
    narrow = [{name: torch.zeros_like(values[..., :2]) for name, values in row.items()} for row in rows_of(kind, 1)]
    if kind in IMAGES:
        narrow = [{PIXELS: torch.full((1, 3, 8, 8), 127, dtype=torch.uint8)}]
    StaticInt8Exporter().export(case.model, sample_of(kind, narrow), tmp_path)
    misjudged = logits_of(OnnxSession(tmp_path, RunOptions()), case.rows)
    assert error(misjudged, case.expected) > 2 * case.error("int8")


def test_static_int8_needs_rows(cases: Callable[[str], Case], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No data"):
        StaticInt8Exporter().export(cases("bert").model, sample_of("bert", []), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ALL)
def test_fp16_keeps_the_types_of_inputs_and_logits(kind: str, cases: Callable[[str], Case]) -> None:
    half, exact = cases(kind).graph("fp16"), cases(kind).graph("fp32")
    assert [i.type.tensor_type.elem_type for i in half.input] == [i.type.tensor_type.elem_type for i in exact.input]
    assert half.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert TensorProto.FLOAT not in {tensor.data_type for tensor in half.initializer}


def test_fp16_is_refused_on_a_cpu_with_the_reason(cases: Callable[[str], Case]) -> None:
    with pytest.raises(UnsupportedError, match="few fp16 kernels"):
        open_runtime("onnxruntime-fp16")(cases("bert").folder / "fp16", RunOptions())
    assert "CPU provider" in HalfExporter().graph(cases("bert").folder / "fp16").note


def test_numbers_too_large_for_fp16_show_on_a_cpu_too(tmp_path: Path) -> None:
    model = tiny("bert")
    with torch.no_grad():
        model.bert.encoder.layer[0].intermediate.dense.bias.fill_(1e5)
    HalfExporter().export(model, sample_of("bert", []), tmp_path)
    rows = rows_of("bert", 3)
    assert np.isfinite(torch_logits(model, rows)).all()
    assert not np.isfinite(logits_of(OnnxSession(tmp_path, RunOptions()), rows)).any()


def test_bf16_is_the_trained_model_in_bf16_and_not_fp32(cases: Callable[[str], Case]) -> None:
    folder = cases("bert").folder / "trained"
    row = arrays(cases("bert").rows[0])
    exact, half = (load(folder, RunOptions()).bind(row)() for load in (load_exact, load_bf16))
    np.testing.assert_allclose(exact, cases("bert").expected[:1], atol=1e-5)
    as_bf16 = torch.from_numpy(half).bfloat16().float().numpy()
    np.testing.assert_array_equal(half, as_bf16)
    assert np.abs(half - exact).max() > 1e-4
