"""The README of a deployed folder: the model, its figures, and five lines that call it."""

from distilgrid.deployment.options import ModelOption
from distilgrid.reporting import wording
from distilgrid.runtimes.registry import find_runtime
from distilgrid.runtimes.text_reader import FIELDS

GENERAL = """from distilgrid.deployment.classifier import Classifier

classify = Classifier(".")
print(classify({example}))
"""
ONNX = """import {modules}
read = tokenizers.Tokenizer.from_file("tokenizer.json").encode({example})
inputs = {{{inputs}}}
session = onnxruntime.InferenceSession("model.onnx", providers=["{provider}ExecutionProvider"])
print({answer})
"""
ONNX_LOGITS = "session.run(None, {n: numpy.array([v]) for n, v in inputs.items()})[0]"
README = """# {title}

{facts}

{install} In this folder:

```python
{example}```
"""
GPU = "It was measured on a GPU and needs one of NVIDIA's with CUDA."


def readme(option: ModelOption, names: list[str], labels: list[str], *, pair: bool) -> str:
    """The README in Markdown. `names` are the model's inputs in order. A regression has no labels."""
    example = '"A first text.", "A second text."' if pair else '"A text of yours."'
    onnx, gpu = option.runtime.startswith("onnxruntime"), option.conditions.processor == "cuda"
    code = _onnx(option, example, names, labels) if onnx else GENERAL.format(example=example)
    install = _install_onnx(gpu=gpu) if onnx else _install(option.runtime, gpu=gpu)
    return README.format(title=option.name, facts=_facts(option), install=install, example=code)


def _facts(option: ModelOption) -> str:
    scoring = option.scoring
    axes, noisy = option.line.labels, ", a noisy measurement" if option.noisy else ""
    return (
        f"{axes['task']}: the student {option.line.name} of the teacher {axes['teacher']}, trained by "
        f"{axes['method']}, for the runtime {option.runtime}. Score {scoring.score(option.score)} (the teacher's: "
        f"{scoring.score(option.teacher)}), {wording.size(option.size_bytes)}.\n\n"
        f"{wording.milliseconds(option.latency_ms)} ms{noisy}: {option.conditions.words}."
    )


def _install(runtime: str, *, gpu: bool) -> str:
    extra = find_runtime(runtime).extra
    said = f"Install: `pip install 'distilgrid{f'[{extra}]' if extra else ''}'`."
    return f'{said} {GPU} On a CPU, slower: `Classifier(".", processor="cpu")`.' if gpu else said


def _install_onnx(*, gpu: bool) -> str:
    if gpu:
        slower = "Without one, ONNX Runtime warns and takes the CPU: the time above is not that one's."
        return f"Install: `pip install onnxruntime-gpu tokenizers`. {GPU} {slower}"
    threads = "ONNX Runtime takes all cores unless `SessionOptions.intra_op_num_threads` says how many."
    return f"Install: `pip install onnxruntime tokenizers`. {threads}"


def _onnx(option: ModelOption, example: str, names: list[str], labels: list[str]) -> str:
    """Code that runs without DistilGrid."""
    return ONNX.format(
        modules="json, numpy, onnxruntime, tokenizers" if labels else "numpy, onnxruntime, tokenizers",
        example=example,
        inputs=", ".join(f'"{name}": read.{FIELDS[name]}' for name in names),
        provider=option.conditions.processor.upper(),
        answer=f'json.load(open("labels.json"))[{ONNX_LOGITS}.argmax()]' if labels else f"float({ONNX_LOGITS}[0, 0])",
    )
