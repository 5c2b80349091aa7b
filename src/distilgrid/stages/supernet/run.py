"""Stage `supernet`: one model whose slices are all architectures of a space, trained together."""

from distilgrid.core.artefacts import write_json
from distilgrid.core.stopping import stopping_gently
from distilgrid.models.io import load_tokenizer, save_model
from distilgrid.search.estimators.registry import homogeneous
from distilgrid.stages.job import Job
from distilgrid.stages.search.declare import SearchStageSettings
from distilgrid.stages.search.searching import lessons_of
from distilgrid.training.checkpoint import Checkpoints


def supernet(settings: SearchStageSettings, job: Job) -> None:
    """Train a supernet by the sandwich rule, from the fine-tuned teacher's weights.

    Raises:
        UserError: when an input is damaged, or the space has layers that differ.
        Interrupted: when the process was asked to stop; the state is saved.
    """
    from distilgrid.search.estimators.supernet_estimator import train_supernet

    own, how, lessons = settings.search.estimator, job.execution, lessons_of(settings, job)
    with stopping_gently() as stop:
        checkpoints = Checkpoints(job.out, key=job.key, seconds=how.checkpoint_seconds, stop=stop)
        trained = train_supernet(lessons, homogeneous(settings.space), checkpoints=checkpoints)
        save_model(trained.model, load_tokenizer(lessons.origin), job.folder)
        write_json(job.folder / "supernet.json", {"space": settings.space.model_dump(), "settings": own.model_dump()})
