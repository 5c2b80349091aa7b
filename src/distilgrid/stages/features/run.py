"""Stage `features`: a fine-tuned teacher's features of original, mixed and augmented rows, in two dimensions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distilgrid.core.artefacts import write_json
from distilgrid.models.facts import check_loaded
from distilgrid.models.io import load_model, load_tokenizer
from distilgrid.plan.settings import MIXED, ORIGINAL, Features
from distilgrid.signals.mixed.mixing import make_schedule
from distilgrid.signals.mixed.outputs import mixed_inputs
from distilgrid.stages.features.declare import FeaturesSettings
from distilgrid.stages.job import Job
from distilgrid.tasks.batching import Batch, Encodings, Inputs, evaluation_batches
from distilgrid.tasks.dataset import open_augmented, open_dataset
from distilgrid.training.placement import exact_products, placement_of
from distilgrid.training.predictor import forward
from distilgrid.training.training_set import TrainingSet

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel

PERPLEXITY = 30.0  # scikit-learn's own; fewer points allow less
Part = tuple["pd.DataFrame", np.ndarray]  # kind, label and weight of M points, and their states (M, H)


def features(settings: FeaturesSettings, job: Job) -> dict[str, int]:
    """Write the last layer's [CLS] states in two dimensions; returns the number of points of each kind."""
    dataset, teacher = open_dataset(job.given("data").folder), job.given("teacher-dir").folder
    share = min(settings.fraction, settings.features.rows / dataset.splits["train"]["rows"])
    # Smaller shares are parts of larger ones: these are some of the students' own rows.
    plain = TrainingSet(dataset, share)
    model, tokenizer = load_model(teacher).requires_grad_(False), load_tokenizer(teacher)
    check_loaded(model, tokenizer, settings.max_length)
    model.to(placement_of(job.execution).device)
    encodings = plain.encodings(tokenizer, max_length=settings.max_length)
    labels = plain.chosen["label"].to_numpy()
    parts = [_points(model, ORIGINAL, labels, encodings.lengths, encodings.batch)]
    parts.append(_mixed(model, plain, encodings, settings))
    for given in job.each("augmented"):
        rows = TrainingSet(dataset, share, open_augmented(given.folder))
        read = rows.encodings(tokenizer, max_length=settings.max_length)
        name = str(given.labels.get("augmentation", given.folder.name))
        parts.append(_added(model, rows, read, name, settings.features.rows))
    return _write(job.folder, parts, settings.features)


def _mixed(model: "PreTrainedModel", rows: TrainingSet, encodings: Encodings, settings: FeaturesSettings) -> Part:
    """The first mixed samples of an epoch over the original rows, each with the label of the nearer row."""
    mixup, training = settings.mixup, settings.training.model_copy(update={"epochs": 1})
    schedule = make_schedule(rows.text_lengths, mixup, training)
    mixtures = schedule.mixtures.take(list(range(min(settings.features.rows, len(schedule.mixtures)))))

    def inputs(samples: Batch) -> Inputs:
        return mixed_inputs(model, encodings, mixtures.take(samples), token_types=mixup.token_types)

    nearer = np.where(mixtures.weight >= 0.5, mixtures.first, mixtures.second)
    labels = rows.chosen["label"].to_numpy()[nearer]
    return _points(model, MIXED, labels, mixtures.lengths(encodings.lengths), inputs, mixtures.weight)


def _added(model: "PreTrainedModel", rows: TrainingSet, encodings: Encodings, name: str, count: int) -> Part:
    """Augmented rows of the original ones: first copies first."""
    assert rows.added is not None
    chosen = np.argsort(rows.added["copy"].to_numpy(), kind="stable")[:count]
    places, labels = chosen + len(rows.chosen), rows.added["label"].to_numpy()[chosen]
    return _points(model, name, labels, encodings.lengths[places], lambda b: encodings.batch(places[b].tolist()))


@torch.no_grad()
def _points(
    model: "PreTrainedModel",
    kind: str,
    labels: np.ndarray,
    lengths: np.ndarray,
    inputs: Callable[[Batch], Inputs],
    weights: np.ndarray | None = None,
) -> Part:
    """Points with the last layer's [CLS] states, in the batches of an evaluation; an unmixed row counts in full."""
    import pandas as pd

    states = np.empty((len(lengths), model.config.hidden_size), dtype=np.float32)
    for batch in evaluation_batches(lengths) if len(lengths) else []:
        with exact_products(model.device):
            found = forward(model, inputs(batch), states=True).cls_states
        assert found is not None
        states[batch] = found[:, -1].cpu().numpy()
    weight = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    return pd.DataFrame({"kind": kind, "label": labels, "weight": weight}), states


def _write(folder: Path, parts: Sequence[Part], settings: Features) -> dict[str, int]:
    import pandas as pd

    frame = pd.concat([described for described, _ in parts], ignore_index=True)
    points, explained = project(np.concatenate([states for _, states in parts]), settings.projection)
    frame.insert(0, "x", points[:, 0])
    frame.insert(1, "y", points[:, 1])
    frame.to_parquet(folder / "features.parquet", index=False, compression="zstd")
    counts = {str(kind): int(number) for kind, number in frame["kind"].value_counts(sort=False).items()}
    facts = {"projection": settings.projection, "explained_variance": explained, "counts": counts}
    write_json(folder / "features.json", facts)
    return counts


def project(states: np.ndarray, projection: str) -> tuple[np.ndarray, list[float] | None]:
    """Points in two dimensions, the same on each run: (M, 2), and for `pca` the shares of variance on the two axes.

    Args:
        states: (M, H).
        projection: `pca`, or `tsne` (van der Maaten and Hinton 2008).
    """
    if projection == "tsne":
        from sklearn.manifold import TSNE

        near = min(PERPLEXITY, (len(states) - 1) / 3)
        return TSNE(perplexity=near, init="pca", random_state=0).fit_transform(states).astype(np.float64), None
    from sklearn.decomposition import PCA

    pca = PCA(n_components=2, svd_solver="full")
    with np.errstate(invalid="ignore"):
        points = pca.fit_transform(states.astype(np.float64))
    return points, np.nan_to_num(pca.explained_variance_ratio_).tolist()  # equal states have no variance to share
