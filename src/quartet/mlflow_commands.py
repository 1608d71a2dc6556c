"""The commands of kedro-mlflow, which says too much when it is imported by itself."""

from quartet.cli import import_kedro_mlflow_quietly

import_kedro_mlflow_quietly()

from kedro_mlflow.framework.cli.cli import mlflow_commands  # noqa: E402

__all__ = ["mlflow_commands"]
