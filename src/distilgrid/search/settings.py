"""Settings of an architecture search. Light: no torch here."""

from typing import Literal

from pydantic import Field, model_validator

from distilgrid.benchmark.settings import Benchmark, DeviceName, Runtime
from distilgrid.core.schema import Seed, Settings
from distilgrid.search.conditions import Conditions, measured
from distilgrid.search.controllers.settings import ControllerSettings
from distilgrid.search.estimators.settings import EstimatorSettings
from distilgrid.search.rewards import Reward


class CandidateLatency(Settings):
    """Latencies of candidates. `benchmark` has the protocol; its first batch size and last length count."""

    source: Literal["measured", "predicted"] = "measured"
    """`measured` times each candidate once; `predicted` fits a predictor to random shapes that are timed before."""
    runtime: Runtime = "onnxruntime-fp32"
    """Runtime that executes the candidates."""
    device: DeviceName = "local-cpu"
    """A local device of the folder `devices`, a CPU or a GPU; its first number of threads counts."""
    fused: bool = True
    """Whether the runtime may rewrite the graph; false searches without a compiler."""
    architectures: int = Field(default=120, ge=8)
    """Shapes that a predictor is fitted to."""
    held_out: int = Field(default=40, ge=2)
    """Further shapes that judge the predictor."""

    def conditions(self, benchmark: Benchmark) -> Conditions:
        """Conditions of the measurements. Raises UserError for a device on which the runtime cannot be measured."""
        return measured(benchmark, self.device, self.runtime, fused=self.fused, asked="latency.device")


class Search(Settings):
    """A search for students of a teacher on a task."""

    space: str
    """File of the search space: grids/spaces/minilm.yaml."""
    controller: ControllerSettings
    """Controller that proposes candidates."""
    estimator: EstimatorSettings
    """Estimator of a candidate's quality, at a fraction of the cost of distilling it."""
    reward: Reward
    """Reward, which makes one number of score or loss, and latency."""
    latency: CandidateLatency = Field(default_factory=CandidateLatency)
    """Latencies of candidates."""
    episodes: int = Field(default=15, ge=1)
    """Rounds of proposals; the controller learns after each."""
    candidates: int = Field(default=20, ge=1)
    """Proposals of an episode."""
    keep: int = Field(default=3, ge=1)
    """Architectures to keep, by reward: students of the grid take them by rank."""
    max_latency: float | None = Field(default=None, gt=0)
    """Latency limit of the search in ms; null sets none. Candidates that are predicted to be slower are not proposed,
    measured ones lose reward, and only architectures within the limit are kept."""
    max_latency_share: float | None = Field(default=None, gt=0)
    """The same as a share of the teacher's latency: 0.5 finds architectures that take at most half of its time."""
    max_size_share: float | None = Field(default=None, gt=0)
    """Limit on parameters, embeddings included and heads left out, as a share of the teacher's; null sets none.
    Larger architectures are neither proposed nor kept."""
    limit_penalty: float = Field(default=1.0, gt=0)
    """Reward that a candidate loses at twice a limit, in proportion to the excess; the form is ours."""
    seeds: list[Seed] = Field(default=[0], min_length=1)
    """Seeds of the controller; each makes a separate search."""

    @model_validator(mode="after")
    def _consistent(self) -> "Search":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must list each seed once, found {self.seeds}")
        if self.max_latency is not None and self.max_latency_share is not None:
            raise ValueError("give max_latency or max_latency_share, not both")
        return self

    def limit_ms(self, *, teacher_ms: float) -> float | None:
        """Latency limit of the search in ms, if there is one."""
        share = self.max_latency_share
        return self.max_latency if share is None else share * teacher_ms
