"""Code that MLflow stores with a registered model instead of a pickled object, and runs to load it."""

from mlflow.models import set_model

from distilgrid.tracking.serving import CellModel

set_model(CellModel())
