"""Check `azureml.yml` of an environment before kedro-azureml reads it.

kedro-azureml validates the same settings, but ends in a traceback that names no file, and ignores
unknown keys.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from kedro_cloud.core import config, config_files

_DEFAULT = "__default__"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Compute(_Part):
    """The cluster of a node tag."""

    cluster_name: str


class DataPassing(_Part):
    """The way in which steps pass data."""

    enabled: bool = False
    """Whether they pass it in folders of Azure ML."""


class TemporaryStorage(_Part):
    """Storage in which steps pass data as pickles."""

    account_name: str | None = None
    container: str | None = None


class Docker(_Part):
    """The image of steps without an Azure ML environment."""

    image: str | None = None


class Azure(_Part):
    """Workspace and clusters of jobs."""

    subscription_id: str
    resource_group: str
    workspace_name: str
    experiment_name: str
    compute: dict[str, Compute] | None = None
    """Cluster by node tag; `__default__` for nodes without one."""
    temporary_storage: TemporaryStorage | None = None
    environment_name: str | None = None
    code_directory: str | None = None
    working_directory: str | None = None
    pipeline_data_passing: DataPassing | None = None

    @model_validator(mode="after")
    def _check_default_cluster(self) -> Self:
        passing = self.pipeline_data_passing
        if passing and passing.enabled and _DEFAULT not in (self.compute or {}):
            raise ValueError(
                f"compute.{_DEFAULT} is missing, which has the cluster of nodes without a tag, as "
                f"in `{_DEFAULT}: {{cluster_name: NAME}}`"
            )
        return self


class Steps(_Part):
    """The nodes that share a container."""

    merged: bool = False
    """Whether nodes tagged for the same step share one; without it, each node has its own."""


class AzureML(_Part):
    """Contents of `azureml.yml`: kedro-azureml reads all but `steps`."""

    azure: Azure
    docker: Docker | None = None
    steps: Steps = Steps()


def read_settings(loader: Any) -> AzureML:
    """Return the settings in an environment's `azureml.yml`.

    Args:
        loader: Kedro's configuration loader for the environment.

    Raises:
        MissingConfigException: The environment has no `azureml.yml`, nor has `base`.
        ValueError: A setting is missing, unknown or invalid; each is named, with its file.
    """
    content = loader["azureml"]
    try:
        return AzureML.model_validate(content)
    except ValidationError as error:
        folders = config.folders(loader)
        raise ValueError(config_files.format_invalid(folders, "azureml*", error)) from error
