"""Licences of models and data, from their own files and descriptions. Light: no torch or pandas."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.repocard import metadata_load

from distilgrid.models.source import is_new, model_folder
from distilgrid.tasks.spec import TaskSpec

UNKNOWN = "unknown"
CARD = "README.md"
CLASSIFIER = "License :: "
DOCS = "those of the installed libraries whose docstrings they are"


@dataclass(frozen=True)
class Terms:
    """A licence, as an SPDX identifier or a few words, with its source."""

    licence: str
    told_by: str


def model_terms(source: str) -> Terms:
    """The licence of a model, by the card in its folder, else its package. Raises UserError when it cannot be found."""
    if is_new(source):
        return Terms("none needed", "random weights of a published architecture")
    card = front_matter(model_folder(source) / CARD)
    if card.get("license"):
        return Terms(str(card["license"]), "the model's own card")
    scheme, _, name = source.partition(":")
    if scheme == "package":
        return Terms(package_licence(name), f"the package {name}")
    return Terms(UNKNOWN, f"no {CARD} next to the weights")


def task_terms(spec: TaskSpec) -> Terms:
    """The licence of a task's data, from its spec."""
    if spec.scheme == "docs":
        return Terms(DOCS, "their packages")
    return Terms(spec.licence or UNKNOWN, spec.homepage or "the task's spec (`licence`)" if spec.licence else "nobody")


def package_licence(name: str) -> str:
    """The licence of an installed package: its expression, a short statement, or its classifiers."""
    about = metadata.metadata(name)
    stated = [text.strip() for field in ("License-Expression", "License") for text in about.get_all(field) or []]
    classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or [] if c.startswith(CLASSIFIER)]
    named = [text for text in [*stated, ", ".join(classifiers)] if text and "\n" not in text]
    return named[0] if named else UNKNOWN


def front_matter(path: Path) -> dict[str, Any]:
    """The YAML block at the top of a card, or nothing."""
    try:
        return metadata_load(path) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
