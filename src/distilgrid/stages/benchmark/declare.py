"""The stage `benchmark`: the latency of trained models on every runtime, measured in turns in one process."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact, Inputs, listed
from distilgrid.core.stage import Input, Keys, Option, Place, Recipe, Stage
from distilgrid.plan.teachers import teacher_names
from distilgrid.stages.common import MODELS, TASK, TEACHER

if TYPE_CHECKING:
    from distilgrid.benchmark.settings import Benchmark
    from distilgrid.devices.settings import Device
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner


@dataclass(frozen=True)
class BenchmarkSettings:
    """Settings of a latency run."""

    protocol: "Benchmark"  # how often, how precisely
    name: str  # of the device
    device: "Device"  # what it is


def _settings(params: "Params", options: Mapping[str, Any]) -> BenchmarkSettings:
    from distilgrid.devices.settings import load_device

    return BenchmarkSettings(params.benchmark, options["device"], load_device(options["device"]))


def _recipe(chosen: BenchmarkSettings, keys: Keys) -> Recipe:
    """The protocol, the device, the models and exports in the order of the entries."""
    from distilgrid.devices.settings import device_recipe

    texts = chosen.protocol.texts > 0
    if texts and "data" not in keys:
        raise UserError("--data: benchmark.texts wants validation texts; give the folder of the prepared data")
    return {
        "protocol": chosen.protocol.model_dump(exclude={"devices"}),
        "device": device_recipe(chosen.device),
        "inputs": {name: value for name, value in keys.items() if texts or name != "data"},
    }


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """One run for a device, a task and a teacher: the teacher and one model of each student, on every runtime.

    Latency depends on the architecture and the runtime, not on the trained values, so the methods and seeds of a
    student share the figures of its first cell.
    """
    device, task, name = names["device"], names["task"], names["teacher"]
    teacher = planner.folders[names["model"]]
    first: dict[str, Artefact] = {}
    for student in planner.wanted["distill"]:
        if student.labels["task"] == task and name in teacher_names(student.labels["teacher"]):
            first.setdefault(student.labels["student"], student)
    models = [teacher, *first.values()]
    folders = {model.folder for model in models}
    exports = [each for each in planner.of("export") if listed(each.inputs["model"])[0].folder in folders]
    inputs: Inputs = {"model": models, "export": exports}
    if planner.params.benchmark.texts:
        inputs["data"] = teacher.inputs["data"]
    return planner.made("benchmark", names, inputs, place=f"{device}/{task}/{name}")


def _wanted(planner: "Planner") -> Iterable[Artefact]:
    """Every device with every teacher."""
    for device in planner.devices:
        for teacher in planner.largest_teachers():
            task, name = teacher.labels["task"], teacher.labels["teacher"]
            yield planner.ask("benchmark", device=device, model=teacher.folder, task=task, teacher=name)


def _place(chosen: BenchmarkSettings, _: Mapping[str, Any]) -> Place:
    from distilgrid.devices.settings import processor

    return processor(chosen.device)


def _threads(chosen: BenchmarkSettings) -> int:
    from distilgrid.devices.settings import most_threads

    return most_threads(chosen.device)


STAGE = Stage(
    name="benchmark",
    version=6,
    folder="benchmarks",
    files=("benchmark.json", "run.json"),
    summary="Measure latency: all models and runtimes in turns in one process.",
    message="measuring",
    example="--device local-cpu --task docs-topic --teacher minilm-l6 "
    "--model work/teacher --model work/student --export work/int8 --out work/benchmark",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(Option("device", "Name of a file in the folder `devices`: local-cpu."), TASK, TEACHER),
    inputs=(
        Input("model", "Trained models, the teacher first.", MODELS, several=True),
        Input("export", "Exports of these models.", ("export",), required=False, several=True),
        Input("data", "Prepared data, for `benchmark.texts`.", ("prepare",), required=False),
    ),
    wanted=_wanted,
    axes=("device", "task", "teacher"),
    target="benchmarks",
    threads=_threads,
    place=_place,
    exclusive=True,
    environment={"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024"},  # torch's default: training jobs keep fewer kernels
    seconds=10,
    # Models to measure, exported and trained.
    units=lambda made, _: sum(len(keys) for name, keys in made["inputs"].items() if name != "data"),
)
