"""What MLflow runs for a registered model that `transformers` alone cannot serve."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel

from distilgrid.core.artefacts import read_json

if TYPE_CHECKING:
    from distilgrid.tasks.batching import Samples

CELL, FACTS = "cell", "serving.json"  # the folder's name among a model's files, and the file of what it must know
CODE = Path(__file__).with_name("serving_code.py")


class CellModel(PythonModel):  # type: ignore[misc,unused-ignore]
    """Reads texts, pairs of texts or images; answers with labels or with the numbers of a regression."""

    def load_context(self, context: Any) -> None:
        """Load the weights, and the tokeniser of a model of texts.

        Raises:
            UserError: when a file is missing or damaged.
        """
        from distilgrid.models.io import load_model, load_tokenizer

        folder = context.artifacts[CELL]
        self._facts = read_json(Path(folder) / FACTS)
        self._model = load_model(folder)
        self._tokenizer = load_tokenizer(folder) if self._facts["kind"] == "text" else None

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Classify.

        Args:
            context: not used.
            model_input: a frame with `text`, and `text_pair` for pairs; of images (N, H, W, C) uint8.
            params: not used.

        Returns:
            `label` and `score`, its probability, of each row; for a regression `value`.
        """
        from distilgrid.training.evaluation import predict

        logits = predict(self._model, self._samples(model_input))
        if not self._facts["labels"]:
            return pd.DataFrame({"value": logits[:, 0].astype(np.float64)})
        odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        score = odds.max(axis=1) / odds.sum(axis=1)
        return pd.DataFrame({"label": [self._facts["labels"][i] for i in logits.argmax(axis=1)], "score": score})

    def _samples(self, model_input: Any) -> "Samples":
        """Rows as the model reads them."""
        from distilgrid.tasks.batching import encode
        from distilgrid.tasks.kinds.image.views import Images

        if self._tokenizer is None:
            return Images(np.asarray(model_input, dtype=np.uint8))
        second = model_input["text_pair"].tolist() if self._facts["pair"] else None
        return encode(self._tokenizer, model_input["text"].tolist(), second, max_length=self._facts["max_length"])
