"""Mini-KD: distils each candidate for a few epochs on a share of the rows (KD-NAS, both versions)."""

import gc
import time
from dataclasses import dataclass, field

from distilgrid.core.fingerprint import derive_seed
from distilgrid.search.architecture import Architecture
from distilgrid.search.candidate import candidate_model
from distilgrid.search.estimators.base import Estimate
from distilgrid.search.estimators.lessons import Lessons
from distilgrid.search.estimators.settings import MiniKDSettings
from distilgrid.training.loop import Trainer
from distilgrid.training.placement import Placement

TAUGHT = ("hidden", "soft")  # terms that compare student and teacher


@dataclass(frozen=True)
class MiniKD:
    """Distils each candidate through the training loop, in this process."""

    settings: MiniKDSettings  # method and inheritance of candidates
    # rows and teacher outputs of `settings.method`; with `init: finetuned` candidates inherit the weights of
    # `lessons.sources.teacher`
    lessons: Lessons
    seed: int  # seed of all candidates' weights, shuffling and dropout
    placement: Placement = field(default_factory=Placement)  # device and precision

    def estimate(self, architecture: Architecture) -> Estimate:
        """Best score on `dev`, and the teacher's term of the losses, weighted as in training, in the last epoch.

        With `hidden_kd` and `task: null` the head stays untrained: the loss tells the quality, the score does not.

        Raises UserError when the candidate cannot be built, diverges, or is deeper than a teacher that it imitates.
        """
        start, lessons = time.perf_counter(), self.lessons
        kind = lessons.dataset.task_kind
        model = candidate_model(
            architecture,
            origin=lessons.origin,
            outputs=lessons.dataset.outputs,
            seed=derive_seed(self.seed, "init"),
            inherit=self.settings.inherit,
            teacher=lessons.sources.teacher if self.settings.init == "finetuned" else None,
        )
        outcome = Trainer(
            model,
            self.settings.method.phases(lessons.training, kind=kind),
            rows=lessons.rows,
            dev=lessons.dev,
            kind=kind,
            metrics=lessons.dataset.metrics,
            placement=self.placement,
            seed=derive_seed(self.seed, "training"),
            teacher=lessons.teacher,
        ).run()
        loss = next(outcome.last_losses[name] for name in TAUGHT if name in outcome.last_losses)
        del model
        gc.collect()  # modules and their training set-up refer to each other
        main = kind.metrics[lessons.dataset.metrics[0]]
        return Estimate(main.merit(outcome.best_dev[main.name]), loss, time.perf_counter() - start)
