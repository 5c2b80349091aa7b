"""The stage `record`: a teacher's outputs, recorded once for every student."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from distilgrid.core.errors import UserError
from distilgrid.core.planned import Artefact
from distilgrid.core.stage import Keys, Option, Recipe, Stage
from distilgrid.stages.common import AUGMENTED, DATA, FRACTION, TASK, TEACHER, TEACHER_GIVEN

if TYPE_CHECKING:
    from distilgrid.plan.params import Params
    from distilgrid.plan.planner import Planner
    from distilgrid.signals.mixed.settings import Mixup
    from distilgrid.training.settings import Training, Views

Kind = Literal["logits", "cls-states", "hidden-states", "mixed-logits", "view-logits"]


@dataclass(frozen=True)
class RecordSettings:
    """Settings of recorded outputs.

    Attributes:
        kind: what is kept.
        max_length: of the teacher's inputs, in tokens.
        fraction: share of the training rows.
        subset_seed: of that share; the key of the data holds it.
        mixup: how samples are mixed, for mixed-logits.
        training: the students' epochs, batch size and batching, for mixed-logits.
        views: how views are drawn, for view-logits.
        epochs: in which they are, for view-logits.
    """

    kind: Kind
    max_length: int
    fraction: float = 1.0
    subset_seed: int = 0
    mixup: "Mixup | None" = None
    training: "Training | None" = None
    views: "Views | None" = None
    epochs: int = 0

    @property
    def labels(self) -> dict[str, Any]:
        """The kind; all else is the teacher's."""
        return {"method": "record", "kind": self.kind}


def settings(params: "Params", options: Mapping[str, Any]) -> RecordSettings:
    """Resolve the teacher, and the method where it decides the samples.

    Raises:
        UserError: for an unknown name, and a method that has no such samples.
    """
    from distilgrid.methods.annealing_kd.schedule import taught_training
    from distilgrid.plan.names import learning, mixing, teacher_length

    kind = options["kind"]
    given: dict[str, Any] = {"kind": kind, "max_length": teacher_length(params, options["teacher"])}
    given |= {"fraction": options["fraction"], "subset_seed": params.data.seed}
    if kind == "mixed-logits":
        mixup, training = mixing(params, options["method"], options["student"])
        given |= {"mixup": mixup, "training": training}
    if kind == "view-logits":
        taught = taught_training(*learning(params, options["method"], options["student"]))
        given |= {"views": taught.views, "epochs": taught.epochs}
    return RecordSettings(**given)


def recipe(chosen: RecordSettings, keys: Keys) -> Recipe:
    """What is kept, of which rows or samples, and how inputs are cut."""
    made: Recipe = {"kind": chosen.kind, "fraction": chosen.fraction, "inputs": keys}
    if chosen.views is not None:
        return made | {"views": chosen.views.model_dump(), "epochs": chosen.epochs}
    made["max_length"] = chosen.max_length
    if chosen.mixup is not None and chosen.training is not None:
        made["mixup"] = chosen.mixup.model_dump()
        made["batches"] = chosen.training.model_dump(include={"epochs", "batch_size", "batching"})
    return made


def plan(planner: "Planner", names: Mapping[str, Any]) -> Artefact:
    """Recordings follow from what students learn: cells ask for them."""
    raise UserError("recordings are planned for the cells that need them")


STAGE = Stage(
    name="record",
    version=2,
    folder="teacher-outputs",
    files=("train.safetensors", "manifest.json", "run.json"),
    summary="Run a teacher once, and keep its outputs for every student.",
    message="recording the teacher",
    example="--task docs-topic --teacher minilm-l6 --kind logits --data work/data "
    "--teacher-dir work/teacher --out work/outputs",
    settings=settings,
    recipe=recipe,
    plan=plan,
    run="distilgrid.stages.record.run:record",
    options=(
        TASK,
        TEACHER,
        Option("kind", "What to keep; cls-states and hidden-states hold logits too.", Kind, "logits"),
        Option("method", "For mixed-logits and view-logits: the method whose samples are meant.", str, "tmkd"),
        Option("student", "Likewise, the student, if it has training settings of its own.", str, None),
        FRACTION,
    ),
    inputs=(DATA, AUGMENTED, TEACHER_GIVEN),
    labelled_by="teacher-dir",
    target="teachers",
    warm=True,
    seconds=33,
)
