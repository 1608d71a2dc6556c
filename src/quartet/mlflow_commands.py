"""The commands of kedro-mlflow, which says too much when it is imported by itself."""

from importlib import import_module
from typing import Any

from quartet.cli import import_kedro_mlflow_quietly

import_kedro_mlflow_quietly()
mlflow_commands: Any = import_module("kedro_mlflow.framework.cli.cli").mlflow_commands
