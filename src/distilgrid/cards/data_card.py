"""The card of a prepared data set."""

from typing import Any

from huggingface_hub import DatasetCardData

from distilgrid.cards.licences import Terms
from distilgrid.cards.model_card import ENGLISH, IMAGE, TEXT
from distilgrid.core.planned import Artefact
from distilgrid.reporting import wording


def card(artefact: Artefact, dataset: dict[str, Any], *, source: str, terms: Terms) -> str:
    """The whole card, with YAML block and text. `source` is that of the task's spec."""
    data = DatasetCardData(
        pretty_name=dataset["task"],
        language="en" if source.partition(":")[0] in ENGLISH else None,
        license=terms.licence.lower() if " " not in terms.licence and terms.licence != "unknown" else "other",
        task_categories=[IMAGE if dataset.get("kind") == "image" else TEXT],
    )
    parts = [f"# {dataset['task']}, as prepared", _source(artefact, dataset, source, terms), _splits(dataset)]
    parts += ["\n".join(f"- {note}" for note in dataset["notes"])] if dataset["notes"] else []
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _source(artefact: Artefact, dataset: dict[str, Any], source: str, terms: Terms) -> str:
    labels = ", ".join(f"`{label}`" for label in dataset["labels"]) or "real numbers"
    return (
        f"From `{source}`, revision `{artefact.recipe['revision']}`, recipe `{artefact.key}`. Labels: {labels}. "
        f"Metrics: {', '.join(dataset['metrics'])}, the first of which selects and ranks. "
        f"Licence: {terms.licence} (says {terms.told_by})."
    )


def _splits(dataset: dict[str, Any]) -> str:
    """A row for each split."""
    rows = ["| split | rows | what for | labels |", "|---|---:|---|---|"]
    for name, facts in dataset["splits"].items():
        use = {"train": "training", "dev": "selects checkpoints"}.get(name, "scores")
        counts = ", ".join(f"{label} {count:,}" for label, count in (facts.get("label_counts") or {}).items())
        rows.append(f"| {name} | {facts['rows']:,} | {use} | {counts or wording.DASH} |")
    return "\n".join(rows)
