"""Packaging of trained cells in MLflow's format: weights in safetensors, a signature and an example, no pickle.

Text classifiers of `transformers` get its flavour, and load without DistilGrid. Other models run DistilGrid's code:
architectures of our own, images, and regressions, whose outputs `transformers` would squash.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import distilgrid
from distilgrid.core.artefacts import write_json
from distilgrid.core.finished import Finished
from distilgrid.core.sums import write_sums
from distilgrid.models.io import library, load_model, load_tokenizer
from distilgrid.tasks.dataset import Dataset
from distilgrid.tracking.serving import CELL, CODE, FACTS

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

EXAMPLES = 2
NOT_SERVED = {"metrics.json", "history.parquet", "predictions.parquet"}
LIBRARIES = ("torch", "transformers", "safetensors")


@dataclass(frozen=True)
class PackagedCell:
    """A trained model, verified, with its data and its longest input in tokens."""

    model: Finished
    dataset: Dataset
    max_length: int

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.model.folder

    @property
    def plain(self) -> bool:
        """Whether `transformers` alone can serve it."""
        return library(self.folder) == "transformers" and self.dataset.task_kind.pipeline is not None


def package(cell: PackagedCell, out: Path, about: "Model") -> None:
    """Write an MLflow model, with its checksums, to a new folder. `about` holds the model's ids in the store."""
    import numpy as np
    from mlflow.models import infer_signature

    dataset, kind = cell.dataset, cell.dataset.task_kind
    example = kind.rows().example(dataset, dataset.validation[0], EXAMPLES)
    nothing = np.zeros((1, dataset.outputs), dtype=np.float32)
    signature = infer_signature(example, kind.predict().answers(nothing, dataset.labels))
    write = _write_plain if cell.plain else _write_own
    write(cell, out, mlflow_model=about, signature=signature, input_example=example)
    write_sums(out)


def _write_plain(cell: PackagedCell, out: Path, *, signature: "ModelSignature", **given: Any) -> None:
    from huggingface_hub import ModelCard
    from mlflow import transformers as flavour
    from transformers import pipeline

    model, tokenizer = load_model(cell.folder), load_tokenizer(cell.folder)
    # MLflow asks the hub about a model of this name. The hub cannot have such a name, so nothing is sent.
    model.name_or_path = f"cells/{cell.folder.parent.name}/{cell.folder.name}"
    flavour.save_model(
        pipeline(cell.dataset.task_kind.pipeline, model=model, tokenizer=tokenizer, device="cpu"),
        str(out),
        signature=signature,
        model_card=ModelCard("---\nlibrary_name: transformers\n---\n"),
        model_config={"truncation": True, "max_length": cell.max_length},
        pip_requirements=list(_pinned(LIBRARIES)),
        **given,
    )
    for path in out.glob("LICENSE*"):  # says only that the hub knows no licence
        path.unlink()


def _write_own(cell: PackagedCell, out: Path, *, signature: "ModelSignature", **given: Any) -> None:
    from mlflow import pyfunc

    staged = out.with_name(f"{out.name}-{CELL}")
    staged.mkdir()
    cell.model.copy([name for name in cell.model.run["files"] if name not in NOT_SERVED], staged)
    dataset = cell.dataset
    facts = {"kind": dataset.kind, "labels": list(dataset.labels), "pair": dataset.pair, "max_length": cell.max_length}
    write_json(staged / FACTS, facts)
    write_sums(staged)
    pyfunc.save_model(
        str(out),
        python_model=str(CODE),
        artifacts={CELL: str(staged)},
        signature=signature,
        pip_requirements=[f"distilgrid=={distilgrid.__version__}", *_pinned(LIBRARIES)],
        **given,
    )
    _forget_this_machine(given["mlflow_model"], out)


def _forget_this_machine(about: "Model", out: Path) -> None:
    """Remove paths of this machine, and the version of an unused pickler."""
    from mlflow import pyfunc

    facts = about.flavors[pyfunc.FLAVOR_NAME]
    facts["model_code_path"] = CODE.name
    facts["artifacts"][CELL]["uri"] = facts["artifacts"][CELL]["path"]
    facts.pop("cloudpickle_version", None)
    about.save(str(out / "MLmodel"))


def _pinned(packages: tuple[str, ...]) -> Iterator[str]:
    for name in packages:
        yield f"{name}=={metadata.version(name).partition('+')[0]}"
