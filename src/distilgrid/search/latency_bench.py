"""Measurements of architectures with random weights on a runtime, in turns, by the latency protocol."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distilgrid.benchmark.footprint import gpu_name
from distilgrid.benchmark.pinning import alone, pinned
from distilgrid.benchmark.protocol import Run, measure, repeated
from distilgrid.benchmark.settings import Benchmark
from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import recipe_key
from distilgrid.core.machine import cpu_name, versions_of
from distilgrid.runtimes.base import RunOptions, Sample, UnsupportedError
from distilgrid.runtimes.guards import refusing
from distilgrid.runtimes.registry import find_runtime, open_exporter, open_runtime
from distilgrid.search.architecture import Architecture, encoder_of
from distilgrid.search.conditions import VERSION, Conditions

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification

VOCABULARY, POSITIONS = 30522, 512  # of BERT's English models; the layers' speed does not depend on them
AT_ONCE = 8  # architectures that take turns with each other and with the yardstick
CALIBRATION_ROWS = 16
SEED = 0


def build_shape(shape: Architecture, *, vocabulary: int = VOCABULARY) -> "BertForSequenceClassification":
    """Random classifier of this shape, in evaluation mode and with the attention of students.

    Raises UserError when the heads do not divide a width.
    """
    from transformers import BertConfig, BertForSequenceClassification

    from distilgrid.models.layered_bert import LayeredBert, LayeredBertConfig

    build, encoder = BertForSequenceClassification, encoder_of(shape)
    config = BertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=POSITIONS,
        num_hidden_layers=encoder.layers,
        hidden_size=encoder.hidden[-1],
        num_attention_heads=encoder.heads,
        intermediate_size=encoder.feed_forward[-1],
        hidden_act=encoder.activation,
    )
    if shape is encoder:
        build = LayeredBert
        config = LayeredBertConfig.of(config.to_dict(), hidden=encoder.hidden, feed_forward=encoder.feed_forward)
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return build(config).eval()


class LatencyBench:
    """Builds, exports and times architectures, whose embeddings have `vocabulary` tokens.

    Raises UserError for an unknown runtime, or for `fused: false` on a runtime that rewrites no graph.
    """

    def __init__(self, conditions: Conditions, protocol: Benchmark, *, vocabulary: int = VOCABULARY) -> None:
        if not conditions.fused and not find_runtime(conditions.runtime).graph:
            raise UserError(
                f"runtime '{conditions.runtime}' rewrites no graph that could be left as it is; set fused: true"
            )
        self.conditions, self._protocol, self._vocabulary = conditions, protocol, vocabulary
        self._how = RunOptions(conditions.threads, conditions.processor, optimised=conditions.fused)
        self._inputs = self._random_inputs(conditions.batch)

    def key(self, **what: Any) -> str:
        """Key of a measurement under these conditions, on this machine and with the installed packages."""
        protocol = self._protocol.model_dump(exclude={"runtimes", "lengths", "batch_sizes"})
        facts = {"conditions": self.conditions.as_dict(), "protocol": protocol, "vocabulary": self._vocabulary}
        packages = find_runtime(self.conditions.runtime).packages or ("torch",)
        machine = {"version": VERSION, "cpu": cpu_name(), "packages": versions_of(packages)}
        machine |= gpu_name(self.conditions.processor)
        return recipe_key({**what, **facts, **machine})

    def medians(self, architectures: Sequence[Architecture]) -> list[float]:
        """Median latency in ms of each architecture, measured in turns on reserved cores.

        Raises UserError when the runtime cannot run one of them.
        """
        with alone(), pinned(self.conditions.threads, self._protocol.cores), tempfile.TemporaryDirectory() as scratch:
            works = []
            for number, architecture in enumerate(architectures):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                works.append(repeated(self._call(architecture, folder)))
            found = measure(works, protocol=self._protocol, label="a group")
            return [float(np.median(series.samples)) for series in found]

    def _call(self, architecture: Architecture, folder: Path) -> Run:
        """A call of the architecture that has run once. Raises UserError when the model cannot be converted or run."""
        runtime, model = self.conditions.runtime, build_shape(architecture, vocabulary=self._vocabulary)
        try:
            with refusing():
                if find_runtime(runtime).exported:
                    open_exporter(runtime).export(model, self._sample(), folder)
                else:
                    model.save_pretrained(folder)
                call = open_runtime(runtime)(folder, self._how).bind(self._inputs)
                call()
                return call
        except UnsupportedError as reason:
            raise UserError(f"runtime '{runtime}' cannot run {architecture.name}: {reason}") from reason

    def _sample(self) -> Sample:
        rows = [_tensors(self._random_inputs(1, seed)) for seed in range(CALIBRATION_ROWS)]
        return Sample(_tensors(self._random_inputs(2)), rows, min(self.conditions.length, POSITIONS))

    def _random_inputs(self, batch: int, seed: int = SEED) -> dict[str, np.ndarray]:
        """Random tokens under a full mask: (B, L) int64 each."""
        size = batch, self.conditions.length
        ids = np.random.default_rng([SEED, seed]).integers(1, self._vocabulary, size=size, dtype=np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
