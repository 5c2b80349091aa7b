"""The MLflow model of cells that `transformers` alone cannot serve."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc import PythonModel

from distilgrid.core.artefacts import read_json
from distilgrid.core.sums import check_sums

CELL, FACTS = "cell", "serving.json"  # among a model's files: the folder of the cell, and its facts
CODE = Path(__file__).with_name("serving_code.py")


class CellModel(PythonModel):  # type: ignore[misc,unused-ignore]
    """Predicts as the task kind does."""

    def load_context(self, context: Any) -> None:
        """Load the weights, and the tokeniser of a model of texts. Raises UserError for a damaged file."""
        from distilgrid.models.io import load_model, load_tokenizer
        from distilgrid.tasks.kind import find_kind

        folder = context.artifacts[CELL]
        check_sums(Path(folder), advice="download the model again, or register its cell again")
        self._facts = read_json(Path(folder) / FACTS)
        self._kind = find_kind(self._facts["kind"])
        self._model = load_model(folder)
        self._tokenizer = load_tokenizer(folder) if self._kind.tokenised else None

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict a frame with `text` and perhaps `text_pair`, or images (N, H, W, C) uint8.

        The result has a `label` and its probability, the `score`, for each row, or a `value` where labels are numbers.
        """
        from distilgrid.training.predictor import predict

        rows = self._kind.batch().given(
            model_input, tokenizer=self._tokenizer, max_length=self._facts["max_length"], pair=self._facts["pair"]
        )
        outputs = predict(self._model, rows, kind=self._kind)
        return self._kind.predict().answers(outputs, self._facts["labels"])
