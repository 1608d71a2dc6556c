"""Load the commands of kedro-mlflow on demand, and report user errors in one line."""

from importlib import import_module
from typing import Any

from kedro_cloud.core.errors import one_line_errors

mlflow_commands: Any = import_module("kedro_mlflow.framework.cli.cli").mlflow_commands
for command in mlflow_commands.commands.values():
    command.callback = one_line_errors(command.callback)
