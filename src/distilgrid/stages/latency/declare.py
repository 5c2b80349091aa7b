"""The stage `latency`: a predictor of latency, fitted to random shapes of a search space."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Keys, Option, Recipe, Stage
from distilgrid.search.conditions import VERSION, measured
from distilgrid.search.ranks import FEWEST

if TYPE_CHECKING:
    from distilgrid.benchmark.settings import Benchmark
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.search.conditions import Conditions
    from distilgrid.search.space import AnySpace


@dataclass(frozen=True)
class LatencySettings:
    """Settings of a latency predictor."""

    space: "AnySpace"  # where the shapes are drawn from
    conditions: "Conditions"  # what is measured
    protocol: "Benchmark"  # how often, how precisely
    fitted: int  # shapes that the predictor sees
    held_out: int  # shapes that judge it
    seed: int = 0  # of the draw
    vocabulary: int | None = None  # tokens of the models' embeddings; None takes the usual number


def _settings(params: "Params", options: Mapping[str, Any]) -> LatencySettings:
    """Read the space, and find the device."""
    from distilgrid.plan.params import known_space

    protocol, space = params.benchmark, known_space(params, str(options["space"]))
    conditions = measured(protocol, options["device"], options["runtime"], fused=not options["unfused"])
    return LatencySettings(space, conditions, protocol, options["architectures"], options["held-out"])


def _recipe(chosen: LatencySettings, keys: Keys) -> Recipe:
    return {
        "space": chosen.space.model_dump(),
        "conditions": chosen.conditions.as_dict(),
        "protocol": chosen.protocol.of_shapes(),
        "fitted": chosen.fitted,
        "held_out": chosen.held_out,
        "seed": chosen.seed,
        "inputs": keys,
    }


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """The predictor of a search."""
    search = planner.params.searches[names["search"]]
    latency = search.latency
    options = {
        "space": search.space,
        "runtime": latency.runtime,
        "device": latency.device,
        "architectures": latency.architectures,
        "held-out": latency.held_out,
        "unfused": not latency.fused,
    }
    place = f"{latency.device}/{latency.runtime}{'' if latency.fused else '-unfused'}"
    return planner.made("latency", options, {}, place=place)


def _lacks(made: Mapping[str, Any]) -> Iterable[str]:
    from distilgrid.runtimes.registry import lacking

    return lacking(made["conditions"]["runtime"])


def _said(quality: Mapping[str, Any]) -> list[str]:
    """The errors on the held-out shapes, and the rank correlation with its interval."""
    tau, low, high = (quality[name] for name in ("kendall_tau", "kendall_low", "kendall_high"))
    ranks = "unknown, as all latencies are equal" if tau is None else f"{tau:.3f}"
    if low is not None:
        ranks += f" [{low:.3f}, {high:.3f}] ({100 * quality['confidence']:g} % CI over the choice of shapes)"
    elif tau is not None:
        ranks += f" (an interval takes {FEWEST} shapes)"
    return [
        f"{quality['rows']} held-out shapes: median error {100 * quality['median_error']:.1f} %, nine in ten within "
        f"{100 * quality['p90_error']:.1f} %, Kendall's tau {ranks}"
    ]


STAGE = Stage(
    name="latency",
    version=VERSION,
    folder="latencies",
    files=("measurements.parquet", "predictor.json", "run.json"),
    summary="Measure random shapes of a space, and fit a latency predictor.",
    message="measuring shapes for",
    example="--space grids/spaces/minilm.yaml --runtime onnxruntime-fp32 --out work/latency",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(
        Option("space", "A search space: grids/spaces/minilm.yaml."),
        Option("runtime", "One of `benchmark.runtimes`."),
        Option("architectures", "Shapes that the predictor is fitted to.", int, 120, low=8),
        Option("held-out", "Further shapes that judge it.", int, 40, low=2),
        Option("unfused", "Leave the graph as it was exported.", bool, False),
        Option("device", "Name of a file in the folder `devices`.", default="local-cpu"),
    ),
    said=_said,
    axes=("device", "runtime"),
    target="searches",
    declared=("search/conditions.py",),
    threads=lambda _: 1,
    place=lambda own, _: own.conditions.processor,
    exclusive=True,
    lacks=_lacks,
    seconds=7.5,
    units=lambda made, _: made["fitted"] + made["held_out"],
)
