"""What a user can set for each distillation method. Light: no torch here."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from distilgrid.core.schema import Settings, self_contained_schema
from distilgrid.signals.mixed.settings import Mixup
from distilgrid.tasks.kinds.kind import TaskKind
from distilgrid.training.settings import WHOLE_RUN, Training, check_stage_overrides, check_training_overrides

Recording = Literal["logits", "cls-states", "hidden-states", "mixed-logits", "view-logits"]
"""What a teacher leaves behind for its students: outputs on the training rows, on mixed samples, or on views of images.
"""

TrainingOverrides = Annotated[
    dict[str, Any],
    AfterValidator(check_training_overrides),
    WithJsonSchema(self_contained_schema(Training)),
]

StageOverrides = Annotated[
    dict[str, Any],
    AfterValidator(check_stage_overrides),
    WithJsonSchema(self_contained_schema(Training, without=WHOLE_RUN)),
]
"""Of one of several stages of a run; what is not given is the field's default, or else the `training` section's."""


def over_default(cls: type[Settings], given: Any, info: ValidationInfo) -> Any:
    """A stage's settings over the default ones. None at all, `{}`, takes all of them from the `training` section."""
    default = cls.model_fields[info.field_name or ""].default
    return {**default, **given} if isinstance(given, Mapping) and given else given


class BaseMethod(Settings):
    """What all methods have in common."""

    training: TrainingOverrides = Field(default_factory=dict)
    """Training settings that differ from the `training` section for this method."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """The teacher outputs that the losses need."""
        return ()

    @property
    def stages(self) -> tuple[Mapping[str, Any], ...]:
        """The training settings of the stages of a run that has several, each over the method's."""
        return ()

    @property
    def runs_teacher(self) -> bool:
        """Whether a teacher runs within the student's job."""
        return False


class TaughtMethod(BaseMethod):
    """What all methods with a teacher have in common."""

    teacher: Literal["recorded", "live"] = "recorded"
    """`recorded`: the teacher runs once, for all students of the grid; `live`: it runs within each student's job."""

    @property
    def runs_teacher(self) -> bool:
        """As set, if the losses need a teacher at all."""
        return self.teacher == "live" and bool(self.recordings)


class Finetune(BaseMethod):
    """Plain fine-tuning on the hard labels: the baseline of every table."""

    objective: Literal["finetune"] = "finetune"
    """Hard-label training."""


class KDSearch(Settings):
    """Values of KD's weight and temperature, all pairs of which are trained once and judged on `dev`."""

    alpha: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)
    """Weights of the teacher term to try."""
    temperature: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """Temperatures to try."""
    seed: int = Field(default=0, ge=0)
    """Training seed of the candidates; the best pair is then trained with each seed of the grid."""

    @field_validator("alpha", "temperature")
    @classmethod
    def _each_once(cls, values: list[float]) -> list[float]:
        if len(set(values)) < len(values):
            raise ValueError(f"each value can be tried once only, found {values}")
        return values


class SoftLabels(TaughtMethod):
    """Knowledge distillation's losses on logits: (1 - alpha) * CE + alpha * T^2 * KL, or a mean squared error."""

    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the teacher term; 1 - alpha is the weight of the hard labels."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of teacher and student in the KL form; unused by the MSE form."""
    loss: Literal["kl", "mse"] = "kl"
    """`kl`: temperature-scaled KL divergence; `mse`: mean squared error between logits, as always for numbers."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Logits."""
        return ("logits",)


class KD(SoftLabels):
    """Knowledge distillation on logits (Hinton et al. 2015)."""

    objective: Literal["kd"] = "kd"
    """(1 - alpha) * CE + alpha * T^2 * KL, or the mean squared error between logits."""
    search: KDSearch | None = None
    """Choose alpha and temperature among these values by the score on `dev`; null takes those above. Where the
    temperature changes nothing, the first one alone is tried."""

    def candidates(self, name: str, *, kind: TaskKind) -> "dict[str, KD]":
        """The methods that a search tries, by the names that their cells get; none without a search."""
        if self.search is None:
            return {}
        temperatures = self.search.temperature[: 1 if not kind.tempered or self.loss == "mse" else None]
        return {
            f"{name}.alpha-{_shortest(alpha)}.t-{_shortest(temperature)}": self.model_copy(
                update={"alpha": alpha, "temperature": temperature, "search": None}
            )
            for alpha, temperature in product(self.search.alpha, temperatures)
        }


def _shortest(value: float) -> str:
    """A number in six digits, or in as many as tell it from all others."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


class TAKD(SoftLabels):
    """Teacher-assistant distillation (Mirzadeh et al. 2020): KD along a chain of ever smaller models."""

    objective: Literal["takd"] = "takd"
    """KD's losses; each model learns from the one before it, the first assistant from the teacher."""
    assistants: list[str] = Field(min_length=1)
    """Names under `students`, from the largest to the smallest: the models between the teacher and the student."""
    assistant_seed: int = Field(default=0, ge=0)
    """Seed of the assistants' training; the students of all seeds learn from one chain, as they do from one teacher."""

    @field_validator("assistants")
    @classmethod
    def _no_loop(cls, assistants: list[str]) -> list[str]:
        twice = next((name for name in assistants if assistants.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the chain loops: '{twice}' is in it twice; name each assistant once")
        return assistants


class PKD(TaughtMethod):
    """Patient knowledge distillation (Sun et al. 2019): KD plus the teacher's intermediate [CLS] states."""

    objective: Literal["pkd"] = "pkd"
    """(1 - alpha) * CE + alpha * T^2 * KL + beta * patience loss on normalised [CLS] states."""
    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the soft-label term, as in KD."""
    temperature: float = Field(default=10.0, gt=0)
    """Softmax temperature of the soft-label term."""
    beta: float = Field(default=500.0, ge=0)
    """Weight of the patience loss. The public code uses 500 with the mean over layers and hidden units."""
    layers: Literal["skip", "last"] = "skip"
    """Which teacher layers the student's intermediate layers imitate: every k-th (`skip`) or the last ones (`last`)."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Logits and [CLS] states in one."""
        return ("cls-states",)


class HiddenKD(SoftLabels):
    """Hidden-state distillation (Trivedi et al. 2023, KD-NAS): the teacher's states first, then kd's losses."""

    objective: Literal["hidden_kd"] = "hidden_kd"
    """Phase `hidden`: MSE of projected token states with the teacher's; phase `task`: kd's losses, as set above."""
    mapping: Literal["uniform+last", "uniform", "last"] = "uniform+last"
    """Teacher layers that a student layer imitates: every k-th (`uniform`), the last ones (`last`), or one of each, put
    end to end."""
    projection: Literal["shared", "layer"] = "shared"
    """The linear map from the student's width to the teacher's: one for all layers, or one for each."""
    hidden: StageOverrides = Field(default={"epochs": 5})
    """Training settings of the phase on hidden states, whose last weights are kept. The paper's epochs are unknown."""
    task: StageOverrides | None = Field(default={"epochs": 3})
    """Training settings of the phase on logits and labels; null leaves it out, and the head untrained."""

    _over_default = field_validator("hidden", "task", mode="before")(classmethod(over_default))

    @property
    def stages(self) -> tuple[Mapping[str, Any], ...]:
        """One, or both."""
        return (self.hidden,) if self.task is None else (self.hidden, self.task)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Logits and all tokens' states in one."""
        return ("hidden-states",)


class MixKD(TaughtMethod):
    """MixKD (Liang et al. 2021): the student also learns from linear interpolations of pairs of training rows."""

    objective: Literal["mixkd"] = "mixkd"
    """CE + alpha_kd * L_KD + alpha_sm * L_SM + alpha_tmkd * L_TMKD."""
    alpha_sm: float = Field(default=1.0, ge=0)
    """Weight of L_SM: cross-entropy of the mixed samples with their mixed labels. 0 in the paper's TMKD."""
    alpha_tmkd: float = Field(default=1.0, ge=0)
    """Weight of L_TMKD: the distance of student and teacher on the mixed samples."""
    alpha_kd: float = Field(default=0.0, ge=0)
    """Weight of L_KD: that distance on the original rows. Whether the paper has this term is unknown."""
    distance: Literal["mse", "kl"] = "mse"
    """`mse`: mean squared error between logits, as in the paper and always for numbers; `kl`: T^2 * KL."""
    temperature: float = Field(default=4.0, gt=0)
    """Softmax temperature T of the KL form."""
    mixup: Mixup = Field(default_factory=Mixup)
    """How samples are mixed."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """What the terms with a weight need."""
        wanted: dict[Recording, float] = {"logits": self.alpha_kd, "mixed-logits": self.alpha_tmkd}
        return tuple(kind for kind, weight in wanted.items() if weight > 0)

    @property
    def mixes(self) -> bool:
        """Whether any term is on mixed samples."""
        return self.alpha_sm > 0 or self.alpha_tmkd > 0


class AnnealingKD(TaughtMethod):
    """Annealing-KD (Jafari et al. 2021): the teacher's logits from soft to sharp, then the hard labels alone."""

    objective: Literal["annealing_kd"] = "annealing_kd"
    """Stage I: MSE with the annealed logits of the teacher; stage II, from stage I's best weights: hard labels."""
    tau_max: int = Field(default=7, ge=1)
    """Temperatures of stage I: T falls from tau_max to 1, and the teacher's logits grow from 1/tau_max to all of them.
    """
    distance: Literal["mse", "kl"] = "mse"
    """Of stage I: `mse`, as in the paper, or `kl`: the KL divergence from softmax of the annealed logits."""
    stage1: StageOverrides = Field(default={"epochs": 14})
    """Training settings of stage I. Its epochs are shared among the temperatures as evenly as they can be."""
    stage2: StageOverrides = Field(default={"epochs": 4})
    """Training settings of stage II. Its optimiser and learning rate start anew."""

    _over_default = field_validator("stage1", "stage2", mode="before")(classmethod(over_default))

    @property
    def stages(self) -> tuple[Mapping[str, Any], ...]:
        """Both."""
        return (self.stage1, self.stage2)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Logits."""
        return ("logits",)


class ContinuationKD(TaughtMethod):
    """Continuation-KD (Jafari et al. 2022): annealed logits with a margin, while the hard labels take over."""

    objective: Literal["continuation_kd"] = "continuation_kd"
    """psi * CE + (1 - psi) * max(0, MSE(student, phi * teacher) - margin * phi)."""
    tau_max: int = Field(default=10, ge=1)
    """Temperatures: T falls from tau_max to 1 as in Annealing-KD."""
    margin: float = Field(default=0.1, ge=0)
    """m: differences from the teacher that do not count. The paper's value is unknown; 0 is Annealing-KD's."""
    psi: Literal["linear", "step"] = "linear"
    """The weight of the hard labels: from 0 to 1 over all epochs, or 0 while T falls and 1 afterwards."""
    annealing: float = Field(default=1.0, gt=0, le=1)
    """Share of the epochs over which T falls; it is 1 afterwards."""

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Logits."""
        return ("logits",)

    @model_validator(mode="after")
    def _labels_count(self) -> "ContinuationKD":
        if self.psi == "step" and self.annealing == 1:
            raise ValueError("psi: step leaves no epoch for the hard labels; set annealing below 1")
        return self


Method = Annotated[
    Finetune | KD | TAKD | PKD | HiddenKD | MixKD | AnnealingKD | ContinuationKD,
    Field(discriminator="objective"),
]
