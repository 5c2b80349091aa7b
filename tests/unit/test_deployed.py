"""A deployed folder remembers what it was measured on: its README and its classifier ask for that processor."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.unit.fabricate import fabricate_results

from distilgrid.core.artefacts import write_json
from distilgrid.core.errors import UserError
from distilgrid.core.sums import write_sums
from distilgrid.deployment import classifier
from distilgrid.deployment.classifier import FACTS, Classifier
from distilgrid.deployment.folder import readme, write_folder
from distilgrid.deployment.measured import Where
from distilgrid.deployment.options import list_options
from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import Findings, find
from distilgrid.runtimes.base import RunOptions, UnsupportedError
from distilgrid.runtimes.onnxruntime import OnnxSession
from distilgrid.tasks.kind import find_kind

BERT = ["input_ids", "token_type_ids", "attention_mask"]
Facts = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a deployed folder without its model."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    def make(runtime: str, **facts: Any) -> Path:
        tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "good": 1, "film": 2}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        made = {"runtime": runtime, "inputs": ["input_ids"], "labels": ["bad", "fine"], "max_length": 8}
        write_json(tmp_path / FACTS, {"kind": "label", **made, **facts})
        write_sums(tmp_path)
        return tmp_path

    return make


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """How models were loaded, by a runtime that answers the second label."""
    found: list[RunOptions] = []

    def load(folder: Path, how: RunOptions) -> Any:
        found.append(how)
        return SimpleNamespace(bind=lambda inputs: lambda: np.array([[0.0, float(inputs["input_ids"].size)]]))

    monkeypatch.setattr(classifier, "open_runtime", lambda name: load)
    return found


@pytest.mark.parametrize(
    ("facts", "given", "expected"),
    [
        ({"measured": {"processor": "cuda", "threads": 1}}, {}, RunOptions(1, "cuda")),
        ({"measured": {"processor": "cpu", "threads": 4}}, {}, RunOptions(4, "cpu")),
        ({"measured": {"processor": "cuda", "threads": 1}}, {"processor": "cpu", "threads": 2}, RunOptions(2, "cpu")),
        ({}, {}, RunOptions(1, "cpu")),
    ],
    ids=["gpu", "threads", "told otherwise", "older folder"],
)
def test_a_model_runs_as_it_was_measured(
    folder: Callable[..., Path], loads: list[RunOptions], facts: Facts, given: Facts, expected: RunOptions
) -> None:
    assert Classifier(folder("onnxruntime-fp16", **facts), **given)("good film") == "fine"
    assert loads == [expected]


@pytest.mark.parametrize(
    ("pair", "texts", "said"),
    [
        (False, ("good film", "good film"), "its model reads single texts; leave the second one out"),
        (True, ("good film",), "its model reads pairs of texts; give two"),
    ],
)
def test_texts_that_the_model_does_not_read_are_refused(
    folder: Callable[..., Path], loads: list[RunOptions], pair: bool, texts: tuple[str, ...], said: str
) -> None:
    classify = Classifier(folder("onnxruntime-fp16", pair=pair))
    with pytest.raises(UserError, match=said):
        classify(*texts)
    assert classify(*(["good film"] * (3 - len(texts)))) == "fine"


@pytest.mark.parametrize("runtime", ["onnxruntime-fp16", "torch-eager-fp32"])
def test_a_folder_for_a_gpu_says_so_where_there_is_none(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    made = folder(runtime, measured={"processor": "cuda", "threads": 1})
    with pytest.raises(UserError, match=f"^{made}: {runtime} on processor 'cuda': .*(no CUDA|install onnxruntime-gpu)"):
        Classifier(made)


def test_onnx_runtime_does_not_take_the_cpu_in_silence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def open_session(path: str, options: Any, *, providers: list[str]) -> Any:
        asked.extend(providers)
        return SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    with pytest.raises(UnsupportedError, match="CUDAExecutionProvider does not start here"):
        OnnxSession(tmp_path, RunOptions(processor="cuda"))
    assert asked == [("CUDAExecutionProvider", {"use_tf32": "0"})]


# The README -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    overlay = {"grid": {"tasks": ["reviews"], "methods": ["kd"], "students": ["two"]}, "report": {"baseline": "kd"}}
    plan, results = fabricate_results(tmp_path_factory.mktemp("deployed"), overlay=overlay)
    return find(collect(plan, results))


def written(findings: Findings, runtime: str, processor: str, kind: str) -> str:
    for benchmark in findings.collected.benchmarks:
        benchmark.values["processor"] = processor
    options = list_options(findings, "reviews", Where("local-cpu")).options
    return readme(next(o for o in options if o.runtime == runtime), BERT, find_kind(kind), pair=True)


@pytest.mark.parametrize("kind", ["label", "number"])
@pytest.mark.parametrize("runtime", ["torch-eager-fp32", "onnxruntime-int8"])
@pytest.mark.parametrize("processor", ["cpu", "cuda"])
def test_the_example_has_at_most_five_lines_that_are_python(
    findings: Findings, runtime: str, processor: str, kind: str
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", written(findings, runtime, processor, kind), flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 5
    compile(code, "README.md", "exec")
    cut = "Give it the first 32,768 characters of a longer one" in written(findings, runtime, processor, kind)
    assert cut == ("import" in code and "tokenizers" in code), "DistilGrid's own reader cuts by itself"


def test_a_deployed_folder_says_what_is_noted_of_teacher_and_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay: dict[str, Any] = {"grid": {"tasks": ["reviews"], "methods": ["kd"], "students": ["two"]}}
    overlay |= {"report": {"baseline": "kd"}, "teachers": {"big": {"note": "it saw such texts before | <b>often</b>"}}}
    plan, results = fabricate_results(tmp_path, overlay=overlay)
    found = find(collect(plan, results))
    option = list_options(found, "reviews", Where("local-cpu")).options[0]
    monkeypatch.setattr(
        "distilgrid.deployment.folder.load_tokenizer", lambda _: SimpleNamespace(model_input_names=BERT)
    )
    monkeypatch.setattr("distilgrid.deployment.folder._write_tokenizer", lambda *_: None)
    dataset = found.collected.datasets["reviews"] | {"cautions": ["dev: no row has the label 'c'"]}
    known = replace(found.collected, datasets={"reviews": dataset})
    folder = write_folder(option, known, results=results, out=tmp_path / "out")
    said = r"big: it saw such texts before \| &lt;b&gt;often&lt;/b&gt;."
    wanted = f"\n\n{said} About the rows: dev: no row has the label 'c'.\n\n"
    assert wanted in (folder / "README.md").read_text()


def test_the_readme_asks_for_the_processor_that_was_measured(findings: Findings) -> None:
    on_gpu, on_cpu = (written(findings, "onnxruntime-int8", name, "label") for name in ("cuda", "cpu"))
    assert "pip install onnxruntime-gpu" in on_gpu and 'providers=["CUDAExecutionProvider"]' in on_gpu
    assert "pip install onnxruntime " in on_cpu and 'providers=["CPUExecutionProvider"]' in on_cpu
    assert "needs one of NVIDIA's" in on_gpu and "NVIDIA" not in on_cpu
    assert "needs one of NVIDIA's" in written(findings, "torch-eager-fp32", "cuda", "label")


def test_the_readme_says_what_its_milliseconds_are_of(findings: Findings) -> None:
    text = written(findings, "onnxruntime-int8", "cpu", "label")
    assert re.search(
        r"\d ms: p50 at batch size 1, 128 tokens, on .*, 1 thread \(local-cpu\), in onnxruntime-int8", text
    )
    assert "weights in int8; the CPU's features for int8: " in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processor": "gpu"}, "unknown processor 'gpu'; take one of: cpu, cuda"),
        ({"processor": "cuda:0"}, "unknown processor 'cuda:0'"),
        ({"threads": 0}, "0 threads are too many or too few; take 1 to 1024"),
        ({"threads": 10**12}, "1000000000000 threads are too many"),
        ({"threads": -2}, "-2 threads are too many or too few"),
    ],
)
@pytest.mark.parametrize("runtime", ["torch-eager-fp32", "onnxruntime-fp32"])
def test_a_classifier_names_what_it_cannot_run_on(
    folder: Callable[..., Path], runtime: str, given: Any, said: str
) -> None:
    made = folder(runtime)
    with pytest.raises(UserError, match=f"^{made}: {said}"):
        Classifier(made, **given)
