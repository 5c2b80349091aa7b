"""The stage `record`: a teacher's outputs, recorded once for every student."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Keys, Option, Recipe, Stage
from distilgrid.stages.common import AUGMENTED, DATA, FRACTION, TASK, TEACHER, TEACHER_DIR

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.signals.base import Signal


@dataclass(frozen=True)
class RecordSettings:
    """Settings of recorded outputs."""

    signal: "Signal"  # what is kept
    max_length: int  # of the teacher's inputs, in tokens
    fraction: float = 1.0  # share of the training rows


def _settings(params: "Params", options: Mapping[str, Any]) -> RecordSettings:
    from distilgrid.plan.names import signal_named, teacher_length

    asked = {name: options[name] for name in ("task", "method", "student")}
    signal = signal_named(params, options["kind"], **asked)
    return RecordSettings(signal, teacher_length(params, options["teacher"]), options["fraction"])


def _recipe(chosen: RecordSettings, keys: Keys) -> Recipe:
    return chosen.signal.recipe(keys, fraction=chosen.fraction, max_length=chosen.max_length)


def _plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    raise UserError("recordings are planned for the cells that need them")


STAGE = Stage(
    name="record",
    version=3,
    folder="teacher-outputs",
    files=("train.safetensors", "manifest.json", "run.json"),
    summary="Run a teacher once, and keep its outputs for every student.",
    message="recording the teacher",
    example="--task docs-topic --teacher minilm-l6 --kind logits --data work/data "
    "--teacher-dir work/teacher --out work/outputs",
    settings=_settings,
    recipe=_recipe,
    plan=_plan,
    options=(
        TASK,
        TEACHER,
        Option(
            "kind",
            "What to keep: logits, cls-states or hidden-states, which hold logits too; or what a method wants, such as "
            "mixed-logits and view-logits.",
            default="logits",
        ),
        Option("method", "For what a method wants: its name.", str, None),
        Option("student", "For the same: the student, if it has its own training settings.", str, None),
        FRACTION,
    ),
    inputs=(DATA, AUGMENTED, TEACHER_DIR),
    labelled=lambda own, _: {"method": "record", "kind": own.signal.name},
    labelled_by="teacher-dir",
    target="teachers",
    warm=True,
    seconds=16.5,
    units=lambda _, rows: rows / 1000,
)
