"""The inputs of models in a benchmark, in the forms of the task kinds. An export keeps them in its folder."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from distilgrid.core.errors import UserError
from distilgrid.core.finished import Finished
from distilgrid.core.messages import first_problem
from distilgrid.tasks.kind import known_kinds
from distilgrid.tasks.model_inputs import ModelInputs

PARITY, FIELD = "parity.json", "inputs"
"""The file of an export that names its inputs, and the field."""


def inputs_of(config: Mapping[str, Any], names: Callable[[], Sequence[str]]) -> ModelInputs:
    """The inputs of a model, from its `config.json` and its tokeniser's `names`, in the first form that fits."""
    return next(found for form in _forms() if (found := form.of(config, names)) is not None)


def read_inputs(export: Finished) -> ModelInputs:
    """The inputs of an exported model; UserError if the folder does not name them."""
    path, found = export.folder / PARITY, export.json(PARITY).get(FIELD)
    form = next((form for form in _forms() if isinstance(found, dict) and next(iter(form.model_fields)) in found), None)
    if form is None:
        raise UserError(f"{path}: says no {FIELD}, an older DistilGrid made this export; export the model again")
    try:
        return form.model_validate(found)
    except ValidationError as error:
        raise UserError(f"{path}: {FIELD}.{first_problem(error, form.model_json_schema())}") from None


def _forms() -> list[type[ModelInputs]]:
    """Those of added kinds first: their models may also fit a form of ours."""
    return list(dict.fromkeys(kind.inputs() for kind in reversed(known_kinds().values())))
