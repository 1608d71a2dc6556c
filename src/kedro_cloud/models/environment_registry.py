"""Open the model registry of an environment."""

from __future__ import annotations

from pathlib import Path

from kedro_cloud.models.registry import Registry
from kedro_cloud.workspace import faults


def open_registry(project: Path, environment: str) -> Registry:
    """Open the workspace's registry for an Azure ML environment, else MLflow's on this machine.

    Raises:
        ValueError: No model is registered yet, or the sign-in to Azure failed.
    """
    if uses_azure_ml(project, environment):
        from kedro_cloud.models.workspace_registry import WorkspaceRegistry
        from kedro_cloud.workspace.connection import connect

        return WorkspaceRegistry(connect(project, environment), environment)
    from kedro_cloud.models.local_registry import LocalRegistry

    return LocalRegistry.from_environment(project, environment)


def uses_azure_ml(project: Path, environment: str) -> bool:
    """Return whether the jobs of an environment run on Azure ML."""
    settings = faults.workspace_settings(project, environment)
    data_passing = settings.get("pipeline_data_passing") or {}
    return bool(data_passing.get("enabled"))
