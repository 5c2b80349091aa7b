"""OpenVINO on tiny random models."""

import dataclasses
import functools
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.unit.made import export
from tests.unit.mobile_models import (
    SHAPES,
    agreement,
    bound,
    differences,
    image_model,
    image_sample,
    pixels,
    text_model,
    text_sample,
    texts,
)
from tests.unit.word_models import CONFIGS, write_dataset, write_model
from transformers import PreTrainedModel

from distilgrid.benchmark.settings import Export
from distilgrid.core.machine import accelerates_bf16, cpu_flags
from distilgrid.runtimes.base import RunOptions, Sample, UnsupportedError
from distilgrid.runtimes.registry import open_runtime

pytest.importorskip("distilgrid.runtimes.openvino")  # not openvino itself: it would report the import
pytest.importorskip("nncf")

from distilgrid.runtimes import openvino as openvino_module
from distilgrid.runtimes import openvino_export
from distilgrid.runtimes.openvino import NO_INSTRUCTIONS, NO_KERNELS, OpenVinoBf16Session, OpenVinoSession
from distilgrid.runtimes.openvino_export import OpenVinoBf16Exporter, OpenVinoExporter, OpenVinoInt8Exporter

EXPORTERS = {"fp32": OpenVinoExporter, "int8": OpenVinoInt8Exporter}
Exported = Callable[[str, str], Path]


@functools.cache
def scaled_model(kind: str) -> PreTrainedModel:
    """A classifier whose layer norms scale and shift, as those of trained ones."""
    model = text_model(kind)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(std=0.2)
    return model


def the_model(kind: str) -> PreTrainedModel:
    return image_model() if kind == "images" else scaled_model(kind)


def the_sample(kind: str) -> Sample:
    if kind == "images":
        return image_sample()
    torch.manual_seed(0)
    return dataclasses.replace(text_sample(kind), calibration=[texts(kind, 1, 3 + 2 * row) for row in range(6)])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    @functools.cache
    def make(kind: str, precision: str) -> Path:
        folder = tmp_path_factory.mktemp(f"{kind}-{precision}")
        EXPORTERS[precision]().export(the_model(kind), the_sample(kind), folder)
        return folder

    return make


@pytest.mark.parametrize("kind", CONFIGS)
def test_logits_are_torchs_at_any_shape(kind: str, exported: Exported) -> None:
    session = OpenVinoSession(exported(kind, "fp32"), RunOptions())
    for batch, length in (*SHAPES, (1, 1)):
        assert differences(the_model(kind), session, texts(kind, batch, length)) < 1e-5


def test_images_of_any_number_are_classified_as_by_torch(exported: Exported) -> None:
    session = OpenVinoSession(exported("images", "fp32"), RunOptions())
    for batch in (1, 2, 7, 1):
        assert differences(the_model("images"), session, pixels(batch)) < 1e-5


def test_conversion_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model, inputs = the_model("bert"), texts("bert", 2, 7)
    with torch.inference_mode():
        before = model(**inputs).logits
        OpenVinoExporter().export(model, the_sample("bert"), tmp_path)
        torch.testing.assert_close(model(**inputs).logits, before, rtol=0, atol=0)


@pytest.mark.parametrize("precision", EXPORTERS)
def test_equal_weights_give_equal_bytes(precision: str, exported: Exported, tmp_path: Path) -> None:
    EXPORTERS[precision]().export(the_model("bert"), the_sample("bert"), tmp_path)
    for name in OpenVinoExporter.files:
        assert (tmp_path / name).read_bytes() == (exported("bert", precision) / name).read_bytes()


def test_int8_is_near_smaller_and_runs_in_int8(exported: Exported) -> None:
    sizes = [(exported("bert", precision) / "model.bin").stat().st_size for precision in ("int8", "fp32")]
    assert sizes[0] < 0.5 * sizes[1]
    torch.manual_seed(2)
    session = OpenVinoSession(exported("bert", "int8"), RunOptions())
    assert agreement(the_model("bert"), session, texts("bert", 40, 12)) > 0.85
    assert 1e-4 < differences(the_model("bert"), session, texts("bert", 3, 9)) < 1
    note = OpenVinoInt8Exporter().graph(exported("bert", "int8")).note
    kinds = set(re.findall(r"\d in (\w+)", note))
    assert kinds & {"u8", "i8"}
    if any("vnni" in flag for flag in cpu_flags() or ()):
        assert kinds <= {"u8", "i8"}, "else products of two activations may run in f32"


def test_int8_rows_do_not_depend_on_their_batch(exported: Exported) -> None:
    session, inputs = OpenVinoSession(exported("bert", "int8"), RunOptions()), texts("bert", 3, 9)
    alone = [bound(session, {name: values[row : row + 1] for name, values in inputs.items()})() for row in range(3)]
    np.testing.assert_allclose(np.concatenate(alone), bound(session, inputs)(), atol=1e-5)


def test_convolutions_run_in_int8(exported: Exported) -> None:
    torch.manual_seed(2)
    assert agreement(the_model("images"), OpenVinoSession(exported("images", "int8"), RunOptions()), pixels(40)) > 0.85
    graph = OpenVinoInt8Exporter().graph(exported("images", "int8"))
    assert graph.before["FakeQuantize"] > 7 and graph.after["Convolution"] == 7
    assert graph.fused == {"attention": 0, "layer_norm": 0, "gelu": 0}
    assert OpenVinoExporter().graph(exported("images", "fp32")).note.endswith("by precision: 8 in f32.")


def test_int8_without_calibration_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs calibration rows"):
        OpenVinoInt8Exporter().export(the_model("bert"), text_sample("bert"), tmp_path)


def test_quantisation_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    OpenVinoInt8Exporter().export(the_model("images"), the_sample("images"), tmp_path)
    assert "".join(capfd.readouterr()) == ""


def test_a_call_has_its_own_inputs_and_its_own_result(exported: Exported) -> None:
    session = OpenVinoSession(exported("bert", "fp32"), RunOptions())
    first = {name: values.numpy().copy() for name, values in texts("bert", 2, 6).items()}
    one, other = session.bind(first), bound(session, texts("bert", 3, 9))
    result = one()
    kept = result.copy()
    first["input_ids"][:] = 7
    other()
    again = one()
    np.testing.assert_array_equal(result, kept)
    np.testing.assert_array_equal(again, kept)
    assert result.flags.owndata and not np.shares_memory(result, again)


def test_inputs_that_the_model_does_not_read_are_refused(exported: Exported) -> None:
    session, inputs = OpenVinoSession(exported("bert", "fp32"), RunOptions()), texts("bert", 2, 6)
    with pytest.raises(UnsupportedError, match=r"^converted for attention_mask \[\?,\?\], input_ids"):
        bound(session, {name: values for name, values in inputs.items() if name != "token_type_ids"})
    images = OpenVinoSession(exported("images", "fp32"), RunOptions())
    with pytest.raises(UnsupportedError, match=r"pixel_values \[\?,3,8,8\], not for pixel_values \(1, 3, 9, 8\)"):
        images.bind({"pixel_values": np.zeros((1, 3, 9, 8), np.uint8)})


def test_operators_are_counted_before_and_after(exported: Exported) -> None:
    graph = OpenVinoExporter().graph(exported("bert", "fp32"))
    assert (graph.before["MVN"], graph.before["Gelu"], graph.before["ScaledDotProductAttention"]) == (3, 1, 1)
    assert graph.after["MVN"] == 3 and graph.after["FullyConnected"] == 8 and "Gelu" not in graph.after
    assert not {"Constant", "Const", "Parameter", "Input"} & {*graph.before, *graph.after}
    attention = 1 if "avx512f" in (cpu_flags() or ()) else graph.fused["attention"]
    assert graph.fused == {"attention": attention, "layer_norm": 3, "gelu": 1}
    assert "8 in f32" in graph.note


def test_bf16_is_near_where_the_cpu_has_it(exported: Exported) -> None:
    if not accelerates_bf16():
        with pytest.raises(UnsupportedError, match="lacks bf16 instructions"):
            OpenVinoBf16Session(exported("bert", "fp32"), RunOptions())
        return
    session = OpenVinoBf16Session(exported("bert", "fp32"), RunOptions())
    assert 1e-4 < differences(the_model("bert"), session, texts("bert", 3, 17)) < 0.1
    graph = OpenVinoBf16Exporter().graph(exported("bert", "fp32"))
    assert graph.note.endswith("by precision: 8 in bf16.")


def test_bf16_is_never_imitated(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SimpleNamespace(get_property=lambda *_: ["FP32", "INT8"])
    monkeypatch.setattr(openvino_module, "accelerates_bf16", lambda: False)
    with pytest.raises(UnsupportedError) as lacking:
        OpenVinoBf16Session(exported("bert", "fp32"), RunOptions())
    monkeypatch.setattr(openvino_module, "accelerates_bf16", lambda: True)
    monkeypatch.setattr(openvino_module, "opened", lambda: (plain, frozenset()))
    with pytest.raises(UnsupportedError) as unused:
        OpenVinoBf16Session(exported("bert", "fp32"), RunOptions())
    assert [str(lacking.value), str(unused.value)] == [NO_INSTRUCTIONS, NO_KERNELS]


@pytest.mark.parametrize(
    ("how", "reason"),
    [(RunOptions(optimised=False), "without rewriting the graph"), (RunOptions(processor="cuda"), "on a CPU only")],
)
def test_ways_of_running_that_it_lacks_are_refused(how: RunOptions, reason: str, exported: Exported) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        open_runtime("openvino-fp32")(exported("bert", "fp32"), how)


class Odd(torch.nn.Module):
    """An operator that OpenVINO has no rule for."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        tokens = inputs[0].float()
        return torch.linalg.eigvalsh(tokens[:, :, None] * tokens[:, None])


class Broken(torch.nn.Module):
    def forward(self, *_: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such layer")


@pytest.mark.parametrize(
    ("module", "kind", "message"),
    [
        (Odd(), UnsupportedError, "cannot convert the model: No conversion rule found for operations: aten::linalg_"),
        (Broken(), RuntimeError, "^no such layer$"),
    ],
)
def test_failed_conversions_say_why_in_one_line(
    module: torch.nn.Module, kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(openvino_export, "traceable", lambda *_: module)
    with pytest.raises(kind, match=message) as caught:
        OpenVinoExporter().export(the_model("bert"), the_sample("bert"), tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_file_is_said_to_be_one(exported: Exported, tmp_path: Path) -> None:
    for name in OpenVinoExporter.files:
        (tmp_path / name).write_bytes((exported("bert", "fp32") / name).read_bytes())
    (tmp_path / "model.bin").write_bytes(b"short")
    with pytest.raises(RuntimeError, match=r"^Incorrect weights in bin file!$"):
        OpenVinoSession(tmp_path, RunOptions())


def test_export_stage_accepts_both_precisions(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data")
    model = write_model(tmp_path / "model", dataset)
    parity = {}
    for precision in EXPORTERS:
        name, out = f"openvino-{precision}", tmp_path / precision
        limits = Export(agreement=0.8)  # the labels of a random model are near ties
        parity[precision] = export(data=dataset.folder, model=model, runtime=name, settings=limits, out=out)
        assert parity[precision]["accepted"], parity[precision]["reason"]
        assert parity[precision]["size_bytes"] == sum((out / name).stat().st_size for name in OpenVinoExporter.files)
    assert 0 < parity["fp32"]["max_abs_difference"] < 1e-5 and parity["fp32"]["label_agreement"] == 1
    assert parity["fp32"]["graph"]["fused"]["layer_norm"] == 5
    assert parity["int8"]["size_bytes"] < parity["fp32"]["size_bytes"]


def elsewhere(code: str, *arguments: object, **environment: str) -> str:
    """What a fresh process prints."""
    words = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FEED = "feed = {n: np.ones((16, 200), np.int64) for n in ('input_ids', 'attention_mask', 'token_type_ids')}"


def test_running_a_model_needs_no_torch_and_leaves_nothing_behind(exported: Exported, tmp_path: Path) -> None:
    code = f"""
        import sys
        from pathlib import Path
        import numpy as np
        from distilgrid.runtimes.base import RunOptions
        from distilgrid.runtimes.openvino import OpenVinoSession
        {FEED}
        logits = OpenVinoSession(Path(sys.argv[1]), RunOptions()).bind(feed)()
        heavy = {{"torch", "transformers", "nncf", "pandas"}} & set(sys.modules)
        print(logits.shape, sorted(heavy), sys.modules["openvino_telemetry"])
        """
    home = tmp_path / "home"
    home.mkdir()
    told = elsewhere(code, exported("bert", "fp32"), HOME=str(home), XDG_CACHE_HOME=str(home / "cache"), CI="")
    assert told == "(16, 3) [] None"
    assert list(home.rglob("*")) == []


def test_nothing_is_reported_to_the_makers() -> None:
    code = """
        import distilgrid.runtimes.openvino
        import openvino.tools.ovc, nncf.telemetry
        print(openvino.tools.ovc.telemetry.__module__, type(nncf.telemetry.telemetry).__name__)
        """
    assert elsewhere(code, CI="", NNCF_CI="") == "openvino.tools.ovc.telemetry_stub MagicMock"


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores to choose from"
)
def test_threads_stay_on_the_cores_that_a_process_is_held_to(exported: Exported) -> None:
    code = f"""
        import os, sys, threading
        from pathlib import Path
        import numpy as np
        from distilgrid.runtimes.base import RunOptions, UnsupportedError
        from distilgrid.runtimes.openvino import OpenVinoSession
        {FEED}
        everything = sorted(os.sched_getaffinity(0))
        seen, running, over, main = set(), threading.Event(), threading.Event(), threading.main_thread().native_id

        def watch():  # is a thread of its own that may use every core: OpenVINO takes what any thread may use
            running.wait()
            while not over.wait(0.0005):
                seen.add(frozenset(os.sched_getaffinity(main)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        os.sched_setaffinity(0, everything[-1:])
        run = OpenVinoSession(Path(sys.argv[1]), RunOptions()).bind(feed)
        running.set()
        for _ in range(60):
            run()
        over.set()
        watcher.join()
        print(seen == {{frozenset(everything[-1:])}}, end=" ")
        os.sched_setaffinity(0, everything)
        try:
            OpenVinoSession(Path(sys.argv[1]), RunOptions(threads=2))
        except UnsupportedError as reason:
            print(reason)
        """
    told = elsewhere(code, exported("bert", "fp32"))
    assert told.startswith("True OpenVINO would run 1 of 2 threads")
