"""What MLflow runs for a registered model that `transformers` alone cannot serve."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc import PythonModel

from distilgrid.core.artefacts import read_json

CELL, FACTS = "cell", "serving.json"  # the folder's name among a model's files, and the file of what it must know
CODE = Path(__file__).with_name("serving_code.py")


class CellModel(PythonModel):  # type: ignore[misc,unused-ignore]
    """Reads rows and answers as the task kind says."""

    def load_context(self, context: Any) -> None:
        """Load the weights, and the tokeniser of a model of texts.

        Raises:
            UserError: when a file is missing or damaged.
        """
        from distilgrid.models.io import load_model, load_tokenizer
        from distilgrid.tasks.kind_table import find_kind

        folder = context.artifacts[CELL]
        self._facts = read_json(Path(folder) / FACTS)
        self._kind = find_kind(self._facts["kind"])
        self._model = load_model(folder)
        self._tokenizer = load_tokenizer(folder) if self._kind.tokenised else None

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify.

        Args:
            context: not used.
            model_input: a frame with `text`, and `text_pair` for pairs; of images (N, H, W, C) uint8.
            params: not used.

        Returns:
            `label` and `score`, its probability, of each row; `value` where labels are numbers.
        """
        from distilgrid.training.evaluation import predict

        rows = self._kind.batch().given(
            model_input, tokenizer=self._tokenizer, max_length=self._facts["max_length"], pair=self._facts["pair"]
        )
        outputs = predict(self._model, rows, kind=self._kind)
        return self._kind.predict().answers(outputs, self._facts["labels"])
