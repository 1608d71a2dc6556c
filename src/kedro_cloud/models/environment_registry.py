"""Opens the registry of models that an environment has."""

from __future__ import annotations

from pathlib import Path

from kedro_cloud.models.registry import Registry
from kedro_cloud.workspace import faults


def open_registry(project: Path, environment: str) -> Registry:
    """The registry of an environment: the workspace's if that is for Azure ML, else MLflow's.

    Raises:
        ValueError: There is none yet, or Azure cannot be entered.
    """
    if is_of_azure(project, environment):
        from kedro_cloud.models.workspace_registry import WorkspaceRegistry
        from kedro_cloud.workspace.connection import connect

        return WorkspaceRegistry(connect(project, environment), environment)
    from kedro_cloud.models.local_registry import LocalRegistry

    return LocalRegistry.from_environment(project, environment)


def is_of_azure(project: Path, environment: str) -> bool:
    """Whether an environment's jobs go to Azure ML."""
    passing = faults.workspace_settings(project, environment).get("pipeline_data_passing") or {}
    return bool(passing.get("enabled"))
