"""What a cell learns from its teacher: recorded or live outputs, on training rows and on mixed samples of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from distilgrid.core.errors import UserError
from distilgrid.methods.annealing_kd.schedule import taught_training
from distilgrid.methods.mixkd.losses import MixKDObjective
from distilgrid.methods.settings import Method, MixKD
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.signals.files import open_mixed, open_recorded, open_views
from distilgrid.signals.mixed.mixing import make_schedule
from distilgrid.signals.teacher import LiveMixedTeacher, LiveTeacher, LiveViewTeacher, TeacherOutputs
from distilgrid.tasks.batching import Encodings, Samples
from distilgrid.training.settings import Training
from distilgrid.training.streams import Mixing
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Sources:
    """The artefacts that a cell is made from.

    Attributes:
        data: prepared data.
        augmented: rows made of its training rows.
        teacher: the fine-tuned teacher, for `init: finetuned` or for a teacher that runs live.
        teacher_outputs: recorded outputs on the training rows, and on the augmented ones; without them a method that
            needs a teacher runs it live.
        mixed_outputs: recorded outputs on mixed samples; likewise.
        candidates: the cells among which a search chooses.
        search: the search that found the student's shape.
        supernet: the one whose slice the student begins as.
    """

    data: Path
    augmented: Path | None = None
    teacher: Path | None = None
    teacher_outputs: Sequence[Path] = ()
    mixed_outputs: Path | None = None
    candidates: Sequence[Path] = ()
    search: Path | None = None
    supernet: Path | None = None


@dataclass(frozen=True)
class Teaching:
    """A method's teacher, opened when a job needs it.

    Raises:
        UserError: when opened: recordings that are missing, damaged or of other rows; or no teacher at all.
    """

    method: Method
    training: Training
    training_set: TrainingSet
    sources: Sources

    def outputs(self) -> TeacherOutputs | None:
        """The teacher's outputs on the training rows, if the method needs them."""
        wanted = {"logits", "cls-states", "hidden-states"}.intersection(self.method.recordings)
        if not wanted:
            return None
        states, tokens = "cls-states" in wanted, "hidden-states" in wanted
        taught = taught_training(self.method, self.training)
        if self.training_set.dataset.task_kind.viewed and taught.views.drawn:
            return self._on_views(taught)
        if self.sources.teacher_outputs:
            ids, keys = self.training_set.example_ids, self.data_keys
            folders = self.sources.teacher_outputs
            return open_recorded(folders, example_ids=ids, data_keys=keys, states=states, tokens=tokens)
        return LiveTeacher(*self._live, states=states, tokens=tokens)

    def _on_views(self, taught: Training) -> TeacherOutputs:
        """Its outputs on the views of images that the student sees."""
        if self.sources.teacher_outputs:
            folder, ids, keys = self.sources.teacher_outputs[0], self.training_set.example_ids, self.data_keys
            return open_views(folder, views=taught.views, epochs=taught.epochs, example_ids=ids, data_keys=keys)
        seen = self.training_set.views(taught.views)
        assert seen is not None, "only kinds with views come here"
        return LiveViewTeacher(load_model(self._folder), seen)

    def mixing(self) -> Mixing | None:
        """The mixed samples, if the method learns from any."""
        if not isinstance(self.method, MixKD) or not self.method.mixes:
            return None
        schedule = make_schedule(self.training_set.text_lengths, self.method.mixup, self.training)
        objective = MixKDObjective(self.method, kind=self.training_set.dataset.task_kind)
        if "mixed-logits" not in self.method.recordings:
            return Mixing(schedule, objective, None)
        if self.sources.mixed_outputs is not None:
            ids, keys = self.training_set.example_ids, self.data_keys
            stored = open_mixed(self.sources.mixed_outputs, schedule=schedule, example_ids=ids, data_keys=keys)
            return Mixing(schedule, objective, stored)
        model, samples = self._live
        assert isinstance(samples, Encodings)
        live = LiveMixedTeacher(model, samples, schedule, token_types=self.method.mixup.token_types)
        return Mixing(schedule, objective, live)

    @property
    def data_keys(self) -> list[str]:
        """Of the prepared data and of the augmented rows."""
        augmented = self.training_set.augmented
        return [self.training_set.dataset.key, *([augmented.key] if augmented else [])]

    @property
    def _folder(self) -> Path:
        """The teacher's."""
        if self.sources.teacher is None:
            name, options = self.method.objective, "--teacher-outputs (and --mixed-outputs for mixkd)"
            raise UserError(f"method '{name}' needs a teacher; give {options}, or --teacher-dir to run it live")
        return self.sources.teacher

    @cached_property
    def _live(self) -> "tuple[PreTrainedModel, Samples]":
        """The teacher itself, and the training rows as it reads them."""
        tokenizer = load_tokenizer(self._folder) if self.training_set.dataset.task_kind.tokenised else None
        samples = self.training_set.samples(tokenizer, max_length=self.training.max_length)
        return load_model(self._folder), samples
