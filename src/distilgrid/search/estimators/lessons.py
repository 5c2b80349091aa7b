"""What estimators share: estimates, rows that are tokenised once, and the teacher's outputs on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from distilgrid.core.errors import UserError
from distilgrid.methods.teaching import Sources, Teaching
from distilgrid.models.io import load_tokenizer
from distilgrid.search.architecture import Architecture
from distilgrid.search.estimators.settings import MiniKDSettings, SupernetSettings
from distilgrid.search.loop import Estimate
from distilgrid.tasks.batching import Rows
from distilgrid.tasks.dataset import Dataset, open_dataset
from distilgrid.training.loop import Trainer
from distilgrid.training.outcome import Outcome
from distilgrid.training.placement import Placement, placement_of
from distilgrid.training.settings import Execution, Training
from distilgrid.training.teacher import StoredTeacher, TeacherOutputs
from distilgrid.training.training_set import TrainingSet, label_tensor, read_split

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

AnySettings = TypeVar("AnySettings", bound=MiniKDSettings | SupernetSettings)


class Estimator(Protocol):
    """Estimates candidates; only the seconds differ when a candidate is estimated again."""

    def estimate(self, architecture: Architecture) -> Estimate:
        """Quality of one architecture. Raises UserError when it cannot be built or trained."""


@dataclass(frozen=True)
class Lessons(Generic[AnySettings]):
    """Rows and teacher outputs that all candidates of a search share, opened on use.

    Opening raises UserError for images, and for inputs that are missing, damaged or of other rows.
    """

    settings: AnySettings
    common: Training  # training settings of the grid, which those of the estimator override
    sources: Sources  # data, recorded outputs, the fine-tuned teacher that candidates may inherit, a supernet
    origin: Path  # folder of the pretrained model, whose tokeniser candidates share
    execution: Execution = field(default_factory=Execution)  # where candidates are trained and scored
    lengths: Sequence[int] = ()  # longest input of the teacher, in tokens, that recordings must have; () takes any

    @cached_property
    def training(self) -> Training:
        """Training settings of candidates."""
        return self.settings.trained(self.common)

    @cached_property
    def placement(self) -> Placement:
        """Device and precision of candidates' training, with torch's switches set."""
        return placement_of(self.execution, precision=self.training.precision)

    @cached_property
    def answering(self) -> Placement:
        """The same device in fp32, for the scores of trained models."""
        return replace(self.placement, precision="fp32")

    @cached_property
    def dataset(self) -> Dataset:
        """Prepared data."""
        dataset = open_dataset(self.sources.data)
        if not dataset.task_kind.tokenised:
            made = dataset.task_kind.words.rows
            raise UserError(f"task '{dataset.task}' is made of {made}; a search takes tasks made of texts")
        return dataset

    @cached_property
    def rows(self) -> Rows:
        """Share of the training rows."""
        return self._training_set.rows(self._tokenizer, max_length=self.training.max_length)

    @cached_property
    def dev(self) -> Rows:
        """Rows that candidates are scored on."""
        samples = read_split(self.dataset, "dev", tokenizer=self._tokenizer, max_length=self.training.max_length)
        return Rows(samples, label_tensor(self.dataset.split("dev"), self.dataset))

    @cached_property
    def teacher(self) -> TeacherOutputs:
        """Teacher outputs on the rows, on the device."""
        given = (self.settings.method, self.training, self._training_set, self.sources)
        teacher = Teaching(*given, self._tokenizer, self.lengths).outputs()
        assert teacher is not None, "methods of estimators have a teacher"
        teacher.move(self.placement.device)
        return teacher

    def distil(self, model: "PreTrainedModel", *, seed: int, some: list[int] | None = None) -> Outcome:
        """Train a model by the estimator's method, on all rows or by one pass over some."""
        training, rows, teacher = self.training, self.rows, self.teacher
        if some is not None:
            training = training.model_copy(update={"epochs": 1})
            rows = Rows(rows.encodings.take(some), rows.labels[some])
            teacher = StoredTeacher(teacher.outputs(some).logits.cpu())
        kind = self.dataset.task_kind
        return Trainer(
            model,
            self.settings.method.phases(training, kind=kind),
            rows=rows,
            dev=self.dev,
            kind=kind,
            metrics=self.dataset.metrics,
            placement=self.placement,
            seed=seed,
            teacher=teacher,
        ).run()

    def merit(self, scores: Mapping[str, float]) -> float:
        """Main metric of scores on `dev`, negated where lower is better."""
        main = self.dataset.task_kind.metrics[self.dataset.metrics[0]]
        return main.merit(scores[main.name])

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        return load_tokenizer(self.origin)

    @cached_property
    def _training_set(self) -> TrainingSet:
        return TrainingSet(self.dataset, self.settings.share)
