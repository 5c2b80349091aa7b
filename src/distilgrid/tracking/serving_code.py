"""The code that MLflow keeps beside a registered model instead of a pickled object; run only when one is loaded."""

from mlflow.models import set_model

from distilgrid.tracking.serving import CellModel

set_model(CellModel())
